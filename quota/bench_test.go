package quota

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// costs are what a statement costs: see the bars in TestAllocations.
var costs = map[string]Limits{
	"unlimited": {},
	"limited":   {StatementsPerSecond: 1e8, Concurrency: 1000},
}

func BenchmarkStatement(b *testing.B) {
	for name, limits := range costs {
		b.Run(name, func(b *testing.B) {
			g, _ := start(b, all(limits))
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if err := g.Statement(ctx, acme); err != nil {
					b.Fatal(err)
				}
				slot, err := g.Acquire(ctx, acme)
				if err != nil {
					b.Fatal(err)
				}
				slot.Leave()
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			g, _ := start(b, all(limits))
			ctx := b.Context()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				x := &tenant.Tenant{ID: tenant.ID(fmt.Sprint("t", time.Now().UnixNano()))}
				for pb.Next() {
					_ = g.Statement(ctx, x)
					leave, _ := g.Enter(ctx, x)
					leave()
				}
			})
		})
	}
}

func TestAllocations(t *testing.T) {
	for name, limits := range costs {
		g, _ := start(t, all(limits))
		ctx := t.Context()
		if n := testing.AllocsPerRun(1000, func() {
			_ = g.Statement(ctx, acme)
			_ = g.Limits(acme)
			_, _ = g.Request(ctx, acme)
			slot, _ := g.Acquire(ctx, acme)
			slot.Leave()
		}); n != 0 {
			t.Errorf("%s: %.1f allocations", name, n)
		}
	}
}

// TestMemory: a tenant takes less than a kilobyte.
func TestMemory(t *testing.T) {
	const tenants = 50_000
	g, _ := start(t, all(costs["limited"]))
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, begin := heap(), time.Now()
	for i := range tenants {
		x := &tenant.Tenant{ID: tenant.ID(fmt.Sprint("t", i))}
		_ = g.Statement(t.Context(), x)
		slot, _ := g.Acquire(t.Context(), x)
		slot.Leave()
	}
	took := time.Since(begin)
	each := (heap() - before) / tenants
	t.Logf("%d bytes a tenant; %s for all", each, took)
	if each > 1024 {
		t.Errorf("%d bytes a tenant", each)
	}
	runtime.KeepAlive(g)
}
