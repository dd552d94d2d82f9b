package registry

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	gocache "github.com/patrickmn/go-cache"
	"golang.org/x/sync/singleflight"

	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	// maxNegative bounds the unknown tenants that are remembered, since
	// whoever sends requests can invent as many as they like.
	maxNegative = 10_000
	stripes     = 64
	jitter      = 0.1
)

// cache remembers tenants. Its three stores hold, by ID, *tenant.Tenant
// (fresh: believed; stale: used only while the control plane is down) and
// error (negative: known to be unknown).
type cache struct {
	fresh, stale, negative *gocache.Cache

	ttl, negativeTTL, staleFor time.Duration

	// flight joins questions for the same ID. It is replaced when the cache
	// is flushed, so that no later caller joins a question asked before.
	flight atomic.Pointer[singleflight.Group]
	seed   maphash.Seed
	gens   [stripes]generation
}

// generation counts the invalidations of the IDs that fall on it.
type generation struct {
	// mu makes "compare n, then store" one step against "count n up, then
	// delete". Nothing else happens while it is held.
	mu sync.Mutex
	n  uint64
}

func newCache(cfg Config) *cache {
	c := &cache{
		// No janitor: its goroutine could not be stopped. Registry.sweep does
		// its work.
		fresh: gocache.New(cfg.TTL, 0), stale: gocache.New(cfg.StaleFor, 0), negative: gocache.New(cfg.NegativeTTL, 0),
		ttl: cfg.TTL, negativeTTL: cfg.NegativeTTL, staleFor: cfg.StaleFor,
		seed: maphash.MakeSeed(),
	}
	c.flight.Store(&singleflight.Group{})
	return c
}

func (c *cache) get(id tenant.ID) (*tenant.Tenant, error) {
	if v, ok := c.fresh.Get(string(id)); ok {
		return v.(*tenant.Tenant), nil
	}
	if v, ok := c.negative.Get(string(id)); ok {
		return nil, v.(error)
	}
	return nil, nil
}

func (c *cache) generation(id tenant.ID) *generation {
	return &c.gens[maphash.String(c.seed, string(id))%stripes]
}

// now returns the generation that a later store must name.
func (g *generation) now() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

// store runs put unless an invalidation came after gen.
func (g *generation) store(gen uint64, put func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n == gen {
		put()
	}
}

func (c *cache) put(t *tenant.Tenant, gen uint64) {
	c.generation(t.ID).store(gen, func() {
		c.negative.Delete(string(t.ID))
		c.fresh.Set(string(t.ID), t, jittered(c.ttl))
		c.stale.Set(string(t.ID), t, c.ttl+c.staleFor)
	})
}

// putUnknown remembers that id is unknown. Beyond the bound it does not: the
// answer is right either way.
func (c *cache) putUnknown(id tenant.ID, err error, gen uint64) {
	c.generation(id).store(gen, func() {
		c.fresh.Delete(string(id))
		c.stale.Delete(string(id))
		if c.negative.ItemCount() < maxNegative {
			c.negative.Set(string(id), err, jittered(c.negativeTTL))
		}
	})
}

// revive returns the stale entry of id, if there is one, and lets it serve for
// a moment without another question.
func (c *cache) revive(id tenant.ID, gen uint64) *tenant.Tenant {
	v, ok := c.stale.Get(string(id))
	if !ok {
		return nil
	}
	t := v.(*tenant.Tenant)
	c.generation(id).store(gen, func() { c.fresh.Set(string(id), t, jittered(c.negativeTTL)) })
	return t
}

// invalidate forgets id, and makes a question that is under way store nothing.
func (c *cache) invalidate(id tenant.ID) {
	g := c.generation(id)
	g.mu.Lock()
	g.n++
	c.fresh.Delete(string(id))
	c.stale.Delete(string(id))
	c.negative.Delete(string(id))
	g.mu.Unlock()
	c.flight.Load().Forget(string(id))
}

// flush forgets everything.
func (c *cache) flush() {
	for i := range c.gens {
		c.gens[i].mu.Lock()
		c.gens[i].n++
		c.gens[i].mu.Unlock()
	}
	c.fresh.Flush()
	c.stale.Flush()
	c.negative.Flush()
	c.flight.Store(&singleflight.Group{})
}

func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - jitter + 2*jitter*rand.Float64()))
}
