package metrics

import (
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Sweep forgets the tenants that have done nothing for Config.IdleAfter at now, and
// adds their counts to the totals. It returns how many. Tenants that are named or flagged stay.
// A started Collector sweeps by itself.
func (c *Collector) Sweep(now time.Time) int {
	before := int64(now.Sub(c.base) - c.config.IdleAfter)
	c.mu.Lock()
	defer c.mu.Unlock()
	evicted := 0
	for i := range c.stripes {
		st := &c.stripes[i]
		for _, id := range st.idle(before) {
			if !c.named[id] && !c.flagged[id] && c.evict(st, id, before) {
				evicted++
			}
		}
	}
	return evicted
}

// idle returns the tenants that were not seen since then.
func (st *stripe) idle(before int64) (ids []tenant.ID) {
	st.mu.RLock()
	defer st.mu.RUnlock()
	for id, e := range st.tenants {
		e.mu.Lock()
		if e.seen < before {
			ids = append(ids, id)
		}
		e.mu.Unlock()
	}
	return ids
}

// evict takes a tenant out, unless it came back. c.mu is held.
func (c *Collector) evict(st *stripe, id tenant.ID, before int64) bool {
	st.mu.Lock()
	e := st.tenants[id]
	e.mu.Lock()
	e.gone = e.seen < before
	u, gone := e.usage(), e.gone
	e.mu.Unlock()
	if gone {
		delete(st.tenants, id)
	}
	st.mu.Unlock()
	if !gone {
		return false
	}
	if x := c.exposed[id]; x != nil {
		c.conceal(x, u)
	}
	c.evicted.add(&u)
	c.evictees++
	c.tracked.Add(-1)
	return true
}

// Flag gives a tenant series of its own until Unflag, and reports whether it has: no more than
// Config.Top tenants may be flagged at a time. The tenant need not be known yet.
func (c *Collector) Flag(id tenant.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.flagged) >= c.config.Top && !c.flagged[id] {
		return false
	}
	c.flagged[id] = true
	return true
}

// Unflag takes Flag back: the tenant is treated like all others.
func (c *Collector) Unflag(id tenant.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flagged, id)
}
