package registry

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func testCache(t testing.TB, cfg Config) *cache {
	t.Helper()
	return newCache(must(cfg.withDefaults())(t))
}

func (c *cache) remember(id tenant.ID) {
	c.put(&tenant.Tenant{ID: id}, c.stripe(id).now(), time.Hour)
}

func (c *cache) entries() int { return (&Registry{cache: c}).CacheStats().Entries }

// TestMaxEntries: there are never more entries than allowed, and those that
// are used stay.
func TestMaxEntries(t *testing.T) {
	t.Parallel()
	const bound = 64 * 8
	c := testCache(t, Config{MaxEntries: bound})
	c.remember("hot")
	for i := range 20 * bound {
		c.remember(tenant.ID(fmt.Sprint("t", i)))
		if got, _ := c.get("hot"); got == nil {
			t.Fatalf("the tenant in use was evicted after %d others", i)
		}
		if i%bound == 0 && c.entries() > bound {
			t.Fatalf("%d entries", c.entries())
		}
	}
	st := (&Registry{cache: c}).CacheStats()
	if st.Entries != bound || st.Evictions != 19*bound+1 {
		t.Errorf("%d entries, %d evicted", st.Entries, st.Evictions)
	}
}

// TestPlaces: whatever comes and goes, each entry has one place, and each
// place that is empty is free.
func TestPlaces(t *testing.T) {
	t.Parallel()
	c := testCache(t, Config{MaxEntries: 64 * 4})
	for i := range 20_000 {
		id := tenant.ID(fmt.Sprint("t", i*7919%700))
		switch i % 11 {
		case 0, 1:
			c.invalidate(id)
		case 2:
			c.putUnknown(id, tenant.ErrUnknown, c.stripe(id).now())
		case 3:
			_, _ = c.get(id)
		default:
			c.remember(id)
		}
		if i == 10_000 {
			c.flush()
		}
	}
	c.sweep(time.Now())
	for i := range c.stripes {
		s := &c.stripes[i]
		taken := 0
		for place, e := range s.clock {
			if e == nil {
				continue
			}
			taken++
			if e.place != place || s.entry(e.ID) != e {
				t.Fatalf("stripe %d: place %d holds %s of place %d", i, place, e.ID, e.place)
			}
		}
		if taken != s.known.ItemCount() || taken+len(s.free) != len(s.clock) || len(s.clock) > s.size {
			t.Fatalf("stripe %d: %d taken, %d entries, %d free of %d places", i, taken, s.known.ItemCount(), len(s.free), len(s.clock))
		}
	}
	c.sweep(time.Now().Add(24 * time.Hour))
	if n := c.entries(); n != 0 {
		t.Errorf("%d entries outlived their end", n)
	}
}

// TestManyAskForNobody: 50,000 callers who ask for the same unknown tenant at
// the same time ask the database once.
func TestManyAskForNobody(t *testing.T) {
	t.Parallel()
	const callers = 50_000
	hold := make(chan struct{})
	tr := &tracer{start: func() { <-hold }}
	r := traced(t, newDatabase(t), tr, Config{NegativeTTL: time.Minute})
	listening(t, r.conn.ConnString(), 1)
	var waiting sync.WaitGroup
	errs := make(chan error, callers)
	for range callers {
		waiting.Go(func() { errs <- second(r.Lookup(t.Context(), "nobody")) })
	}
	// The question is held until all have missed what is in memory.
	eventually(t, "misses", func() bool { return r.CacheStats().Misses == callers })
	close(hold)
	waiting.Wait()
	close(errs)
	for err := range errs {
		if !errors.Is(err, tenant.ErrUnknown) {
			t.Fatal(err)
		}
	}
	if n := tr.count.Load(); n != 1 {
		t.Errorf("%d questions", n)
	}
	_, _ = r.Lookup(t.Context(), "nobody")
	if st := r.CacheStats(); st.NegativeHits != 1 || st.Unknown != 1 || st.Entries != 0 {
		t.Errorf("%+v", st)
	}
}

func TestCacheStats(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	r := open(t, Config{DSN: p.dsn(newDatabase(t)), HomeShard: "default", NegativeTTL: time.Hour})
	listening(t, r.conn.ConnString(), 1)
	create(t, r, "acme")
	caughtUp(t, r)
	state(t, r, "acme")
	before := r.CacheStats()
	state(t, r, "acme")
	_ = second(r.Lookup(t.Context(), "nobody"))
	_ = second(r.Lookup(t.Context(), "nobody"))
	// As if its time had come.
	r.cache.stripe("acme").entry("acme").until.Store(0)
	p.cut()
	state(t, r, "acme")
	got := r.CacheStats()
	want := before
	want.Hits++
	want.NegativeHits++
	want.Misses += 2
	want.StaleServed++
	want.Unknown++
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if _, err := Open(t.Context(), Config{DSN: "x", MaxEntries: -1}); err == nil {
		t.Error("a negative bound was taken")
	}
}
