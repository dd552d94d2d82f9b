package metrics

import (
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// exposure is a tenant that has series of its own.
type exposure struct {
	entry *entry
	base  Usage // what was counted when it got them; that stays in "_other"
	usage Usage // at the last scrape
	// wanted is when it was last named, flagged or one of the top, at the scrape of
	// that number.
	wanted int64
	scrape uint64
}

// reading is what a scrape found of a tenant.
type reading struct {
	entry *entry
	usage Usage
}

// exposition is how a scrape divides all usage: other, former, shared and the
// series' add up to the totals.
type exposition struct {
	other, former, shared Usage
	untracked             uint64 // statements of tenants for whom there was no room
	evicted               uint64
	tracked               int64
	series                []series
}

type series struct {
	id        tenant.ID
	usage     Usage
	quantiles []time.Duration
}

// expose reads all usage and decides who has series.
func (c *Collector) expose() exposition {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	c.scrapes++
	x := exposition{shared: c.shared.read(), evicted: c.evictees, tracked: c.tracked.Load()}
	total := c.evicted
	c.rest(func(e *entry) {
		u := e.read()
		x.untracked += u.Count()
		total.add(&u)
	})
	c.choose(c.readAll(now, &total), now)
	c.retire(now)
	x.former, x.other = c.former, total
	x.other.subtract(&c.former)
	for id, own := range c.exposed {
		s := series{id: id, usage: own.usage, quantiles: own.entry.tail()}
		s.usage.subtract(&own.base)
		x.other.subtract(&s.usage)
		x.series = append(x.series, s)
	}
	return x
}

// readAll adds everybody's usage to total, refreshes that of the exposed, and returns the top.
// Named and flagged tenants are exposed as they are met.
func (c *Collector) readAll(now int64, total *Usage) []reading {
	best := top[reading]{n: c.config.Top}
	c.each(func(e *entry) {
		e.mu.Lock()
		u, recent := e.usage(), e.recent.time*c.decay(now, e.tick)
		e.mu.Unlock()
		total.add(&u)
		own := c.exposed[e.id]
		if own != nil {
			own.usage = u
		}
		switch {
		case c.named[e.id]:
			c.want(reading{e, u}, Usage{}, now) // from the first scrape that could know it
		case c.flagged[e.id]:
			c.want(reading{e, u}, u, now)
		default:
			best.offer(reading{e, u}, float64(recent))
		}
	})
	return best.sorted()
}

// want exposes a tenant, or keeps it exposed. Its series begin at what base lacks.
func (c *Collector) want(r reading, base Usage, now int64) {
	own := c.exposed[r.entry.id]
	if own == nil {
		own = &exposure{entry: r.entry, base: base, usage: r.usage}
		c.exposed[r.entry.id] = own
	}
	own.wanted, own.scrape = now, c.scrapes
}

// choose exposes the top.
func (c *Collector) choose(best []reading, now int64) {
	for _, r := range best {
		c.want(r, r.usage, now)
	}
}

// retire takes series from tenants that have not been wanted for long, and from
// those not wanted longest while there are too many. c.flagged and the top are
// at most Config.Top each, so that whoever is wanted now stays.
func (c *Collector) retire(now int64) {
	own := 0
	for id, x := range c.exposed {
		switch {
		case x.wanted < now-int64(c.config.Linger):
			c.conceal(x, x.usage)
		case !c.named[id]:
			own++
		}
	}
	for ; own > 2*c.config.Top; own-- {
		var oldest *exposure
		for id, x := range c.exposed {
			if !c.named[id] && (oldest == nil || x.scrape < oldest.scrape) {
				oldest = x
			}
		}
		c.conceal(oldest, oldest.usage)
	}
}

// conceal ends a tenant's series: what they showed last, and what came until now,
// belongs to "_former" from now on.
func (c *Collector) conceal(x *exposure, now Usage) {
	now.subtract(&x.base)
	c.former.add(&now)
	delete(c.exposed, x.entry.id)
}

// read returns an entry's usage.
func (e *entry) read() Usage {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.usage()
}

// shownQuantiles are the percentiles of tenants' series.
var shownQuantiles = []struct {
	part  float64
	label string
}{{0.5, "50"}, {0.95, "95"}, {0.99, "99"}}

// tail returns the quantiles of an entry that are shown.
func (e *entry) tail() []time.Duration {
	parts := make([]float64, len(shownQuantiles))
	for i, q := range shownQuantiles {
		parts[i] = q.part
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.bins.quantiles(e.longest, parts...)
}
