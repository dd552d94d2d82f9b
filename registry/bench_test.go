package registry

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func benchmarkRegistry(b *testing.B) *Registry {
	b.Helper()
	r := open(b, Config{DSN: newDatabase(b), HomeShard: "default", TTL: time.Hour})
	create(b, r, "acme")
	must(r.Lookup(b.Context(), "acme"))(b)
	b.ReportAllocs()
	return r
}

func BenchmarkLookup(b *testing.B) {
	r := benchmarkRegistry(b)
	ctx := b.Context()
	for b.Loop() {
		if _, err := r.Lookup(ctx, "acme"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookupParallel(b *testing.B) {
	r := benchmarkRegistry(b)
	ctx := b.Context()
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := r.Lookup(ctx, "acme"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkShard(b *testing.B) {
	r := benchmarkRegistry(b)
	ctx := b.Context()
	for b.Loop() {
		if _, err := r.Shard(ctx, "default"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestHitAllocatesNothing(t *testing.T) {
	r := openHome(t)
	create(t, r, "acme")
	listening(t, r.cfg.DSN, 1)
	ctx := t.Context()
	for what, fn := range map[string]func() error{
		"Lookup": func() error { return second(r.Lookup(ctx, "acme")) },
		"Shard":  func() error { return second(r.Shard(ctx, "default")) },
	} {
		if err := fn(); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(1000, func() { _ = fn() }); n != 0 {
			t.Errorf("%s: %.1f allocations", what, n)
		}
	}
}

// BenchmarkEviction enters a tenant into a full cache, and says what an entry
// takes.
func BenchmarkEviction(b *testing.B) {
	c := testCache(b, Config{})
	ids := make([]tenant.ID, 1_000_000)
	for i := range ids {
		ids[i] = tenant.ID(fmt.Sprintf("tenant-%09d", i))
	}
	const bound = 100_000
	before := heap()
	for _, id := range ids[:2*bound] {
		c.remember(id)
	}
	perEntry := float64(heap()-before) / float64(c.entries())
	i := 2 * bound
	for b.Loop() {
		c.remember(ids[i%len(ids)])
		i++
	}
	b.ReportMetric(perEntry, "B/entry")
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkChangeSeen: how long after a change in one process another one's memory
// knows of it. What counts is the median.
func BenchmarkChangeSeen(b *testing.B) {
	here := benchmarkRegistry(b)
	there := open(b, Config{DSN: here.cfg.DSN, TTL: time.Hour})
	listening(b, here.cfg.DSN, 2)
	var took []time.Duration
	want, change := tenant.StateSuspended, here.Suspend
	for b.Loop() {
		if got := state(b, there, "acme"); got == want {
			b.Fatalf("it is %s already", got)
		}
		if err := change(b.Context(), "acme"); err != nil {
			b.Fatal(err)
		}
		took = append(took, eventually(b, string(want), func() bool { return state(b, there, "acme") == want }))
		if want == tenant.StateSuspended {
			want, change = tenant.StateActive, here.Resume
		} else {
			want, change = tenant.StateSuspended, here.Suspend
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "ms-worst")
}
