package metrics

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// texts are statements as GORM writes them.
var texts = func() (all []string) {
	for i := range 40 {
		all = append(all, fmt.Sprintf(`SELECT * FROM "invoices_%d" WHERE "invoices_%d"."customer_id" = $1 AND "invoices_%d"."deleted_at" IS NULL ORDER BY "id" LIMIT $2`, i, i, i))
	}
	return all
}()

func ids(n int) (all []tenant.ID) {
	for i := range n {
		all = append(all, tenant.ID(fmt.Sprintf("customer-%06d", i)))
	}
	return all
}

// latency spreads over two to three decades, with a tail: log-normal around 2 ms.
func latency(r *rand.Rand) time.Duration {
	return time.Duration(2e6 * math.Exp(r.NormFloat64()*1.1))
}

// workload is statements of n tenants, prepared so that a benchmark measures Observe.
func workload(n, statements int) []Statement {
	r := rand.New(rand.NewPCG(1, 2))
	names := ids(n)
	all := make([]Statement, statements)
	for i := range all {
		all[i] = Statement{
			Tenant: names[r.IntN(n)], Shard: "eu-1", Kind: Kind(r.IntN(2)), Duration: latency(r), Rows: int64(r.IntN(20)),
			RoundTrips: 1, Replica: r.IntN(4) == 0, Text: texts[r.IntN(8)],
		}
		if r.IntN(100) == 0 {
			all[i].Class, all[i].Wait = ClassConstraint, latency(r)
		}
	}
	return all
}

// zipf is a workload in which few tenants do most.
func zipf(n, statements int) []Statement {
	all, names := workload(1, statements), ids(n)
	z := rand.NewZipf(rand.New(rand.NewPCG(14, 15)), 1.1, 1, uint64(n-1))
	for i := range all {
		all[i].Tenant = names[z.Uint64()]
	}
	return all
}

func started(b testing.TB) *Collector {
	b.Helper()
	c := New(Config{})
	if err := c.Start(context.WithoutCancel(b.Context())); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Stop)
	return c
}

// BenchmarkObserve: with few tenants everything is in the processor's cache, as the
// statement is in an application. With 100,000 and uniform traffic nothing is, not even
// the statement.
func BenchmarkObserve(b *testing.B) {
	for _, w := range []struct {
		name       string
		statements []Statement
	}{
		{"tenants=1", workload(1, 1<<11)},
		{"tenants=1000", workload(1000, 1<<11)},
		{"tenants=100000/zipf", zipf(100_000, 1<<14)},
		{"tenants=100000/uniform", workload(100_000, 1<<18)},
	} {
		for name, c := range map[string]*Collector{"started": started(b), "alone": New(Config{})} {
			for i := range w.statements {
				c.Observe(&w.statements[i])
			}
			b.Run(w.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					c.Observe(&w.statements[i%len(w.statements)])
				}
			})
			b.Run(w.name+"/"+name+"/parallel", func(b *testing.B) {
				b.ReportAllocs()
				var goroutine atomic.Int64
				b.RunParallel(func(pb *testing.PB) {
					for i := int(goroutine.Add(1)) * 997; pb.Next(); i++ {
						c.Observe(&w.statements[i%len(w.statements)])
					}
				})
			})
		}
	}
}

func BenchmarkCommitted(b *testing.B) {
	c := started(b)
	b.ReportAllocs()
	for b.Loop() {
		c.Committed("acme", "eu-1", time.Millisecond)
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	c := New(Config{})
	statements := workload(100, 1<<11)
	for range 2 {
		for i := range statements {
			c.Observe(&statements[i])
			c.Committed(statements[i].Tenant, "eu-1", time.Millisecond)
		}
	}
	i := 0
	if n := testing.AllocsPerRun(5000, func() {
		c.Observe(&statements[i%len(statements)])
		c.Record(statements[i%len(statements)].Tenant, KindRead, statements[i%len(statements)].Duration, 1)
		c.Committed(statements[i%len(statements)].Tenant, "eu-1", time.Millisecond)
		i++
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// heap returns the bytes in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMemory: 100,000 tenants, 60 statements of each over two to three decades, of
// eight queries, some failing.
func TestMemory(t *testing.T) {
	if race {
		t.Skip("the race detector makes it long")
	}
	const tenants, each = 100_000, 60
	r := rand.New(rand.NewPCG(3, 4))
	before := heap()
	c := New(Config{})
	for i := range tenants {
		id := tenant.ID(fmt.Sprintf("customer-%06d", i))
		for j := range each {
			s := Statement{Tenant: id, Shard: "eu-1", Duration: latency(r), Rows: 3, RoundTrips: 1, Text: texts[(i+j%8)%len(texts)]}
			if i%5 == 0 && j%20 == 0 {
				s.Class = ClassConflict
			}
			c.Observe(&s)
		}
	}
	used := heap() - before
	t.Logf("%d tenants in %.1f MB: %d bytes per tenant", tenants, float64(used)/1e6, used/tenants)
	if used > 100e6 {
		t.Errorf("%d bytes for %d tenants, want at most 100 MB", used, tenants)
	}
	if u := c.Totals(); u.Count() != tenants*each {
		t.Errorf("%d statements, want %d", u.Count(), tenants*each)
	}
	runtime.KeepAlive(c)
}
