package registry

import (
	"hash/maphash"
	"math/rand/v2"
	"sync/atomic"
	"time"

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

// cache remembers tenants in this process. IDs are spread over stripes, each
// with its own locks and its share of the bounds.
type cache struct {
	ttl, negativeTTL, staleFor time.Duration

	// flight joins questions for the same ID. It is replaced when the cache
	// is flushed, so that no later caller joins a question asked before.
	flight  atomic.Pointer[singleflight.Group]
	seed    maphash.Seed
	stripes [stripes]stripe

	misses, stale atomic.Uint64
}

func newCache(cfg Config) *cache {
	c := &cache{
		ttl: cfg.TTL, negativeTTL: cfg.NegativeTTL, staleFor: cfg.StaleFor,
		seed: maphash.MakeSeed(),
	}
	for i := range c.stripes {
		c.stripes[i].init(share(cfg.MaxEntries), cfg.NegativeTTL)
	}
	c.flight.Store(&singleflight.Group{})
	return c
}

// share returns a stripe's share of a bound.
func share(bound int) int { return (bound + stripes - 1) / stripes }

func (c *cache) stripe(id tenant.ID) *stripe {
	return &c.stripes[maphash.String(c.seed, string(id))%stripes]
}

// get returns what is believed of id, both nil if nothing is, and counts.
func (c *cache) get(id tenant.ID) (*tenant.Tenant, error) {
	s := c.stripe(id)
	t, err := s.get(id)
	switch {
	case t != nil:
		s.hits.Add(1)
	case err != nil:
		s.negativeHits.Add(1)
	default:
		c.misses.Add(1)
	}
	return t, err
}

// put remembers a tenant, unless it was invalidated after gen. It is believed
// for ttl.
func (c *cache) put(t *tenant.Tenant, gen uint64, ttl time.Duration) {
	now := time.Now()
	e := &entry{Tenant: *t, end: now.Add(ttl + c.staleFor).UnixNano()}
	e.until.Store(now.Add(ttl).UnixNano())
	s := c.stripe(t.ID)
	s.store(gen, func() {
		s.unknown.Delete(string(t.ID))
		s.add(e)
	})
}

// putUnknown remembers that id is unknown. Beyond the bound it does not: the
// answer is right either way.
func (c *cache) putUnknown(id tenant.ID, err error, gen uint64) {
	s := c.stripe(id)
	s.store(gen, func() {
		s.remove(id)
		if s.unknown.ItemCount() < share(maxNegative) {
			s.unknown.Set(string(id), err, jittered(c.negativeTTL))
		}
	})
}

// revive returns what was believed of id until lately, if there is something,
// and lets it serve for a moment without another question.
func (c *cache) revive(id tenant.ID, gen uint64) *tenant.Tenant {
	s, now := c.stripe(id), time.Now()
	e := s.entry(id)
	if e == nil || e.end < now.UnixNano() {
		return nil
	}
	c.stale.Add(1)
	s.store(gen, func() { e.until.Store(now.Add(jittered(c.negativeTTL)).UnixNano()) })
	return &e.Tenant
}

// invalidate forgets id, and makes a question that is under way store nothing.
func (c *cache) invalidate(id tenant.ID) {
	c.stripe(id).invalidate(id)
	c.flight.Load().Forget(string(id))
}

// flush forgets everything.
func (c *cache) flush() {
	for i := range c.stripes {
		c.stripes[i].flush()
	}
	c.flight.Store(&singleflight.Group{})
}

// sweep drops the tenants that cannot serve any more.
func (c *cache) sweep(now time.Time) {
	for i := range c.stripes {
		c.stripes[i].sweep(now.UnixNano())
	}
}

// sweepUnknown drops the unknown tenants that are not believed to be any more.
func (c *cache) sweepUnknown() {
	for i := range c.stripes {
		c.stripes[i].unknown.DeleteExpired()
	}
}

func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - jitter + 2*jitter*rand.Float64()))
}
