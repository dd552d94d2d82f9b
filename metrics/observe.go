package metrics

import (
	"hash/maphash"
	"strings"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/sqltext"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// measured is what is made once of a statement.
type measured struct {
	kind     Kind
	class    Class
	bin      int
	duration time.Duration
	seconds  float64
	ln       float64
}

func measure(s *Statement) measured {
	m := measured{kind: s.Kind.known(), class: s.Class.known(), duration: max(s.Duration, 0)}
	m.seconds = float64(m.duration) / float64(time.Second)
	m.bin = binOf(m.seconds)
	m.ln = lnOf(m.seconds, m.bin)
	return m
}

// Observe counts a statement. Of s it keeps a trace's ID, and in memory, for a while,
// the text. It does not allocate for a tenant and a text seen lately.
func (c *Collector) Observe(s *Statement) {
	m := measure(s)
	var p *sqltext.Print
	if s.Text != "" {
		p = sqltext.Fingerprint(s.Text)
	}
	now := c.now()
	e, hash := c.enter(s.Tenant)
	c.touch(e, s.Shard, now)
	e.observe(s, p, &m)
	on := e.shard
	e.mu.Unlock()

	cell := on.cell(hash, m.kind, s.Replica)
	cell.mu.Lock()
	c.touchCell(cell, now)
	cell.observe(s, &m)
	cell.mu.Unlock()
}

// Record counts a statement that ran outside GORM: on the tenant's last shard, and
// without an error.
func (c *Collector) Record(id tenant.ID, kind Kind, d time.Duration, rows int64) {
	c.Observe(&Statement{Tenant: id, Kind: kind, Duration: d, Rows: rows})
}

// Committed counts the end of a transaction, by COMMIT or ROLLBACK: it takes database
// time, but is no statement.
func (c *Collector) Committed(id tenant.ID, shard string, d time.Duration) {
	d = max(d, 0)
	c.aside(id, shard, func(e *entry) {
		e.commit++
		e.commitTime += d
		e.recent.time += float32(d.Seconds())
	}, func(cell *cell) {
		cell.commit++
		cell.recent += d.Seconds()
	})
}

// Waited counts a wait for a connection that belongs to no statement: a transaction's,
// before its first one.
func (c *Collector) Waited(id tenant.ID, shard string, d time.Duration) {
	if d <= 0 {
		return
	}
	c.aside(id, shard, func(e *entry) {
		e.waits++
		e.wait += d
		e.recent.wait += float32(d.Seconds())
	}, func(cell *cell) { cell.wait += d })
}

// aside counts what is no statement, for the tenant and in its shard's aggregate. Each
// function is called with its argument's lock held.
func (c *Collector) aside(id tenant.ID, shard string, mine func(*entry), all func(*cell)) {
	now := c.now()
	e, hash := c.enter(id)
	c.touch(e, shard, now)
	mine(e)
	on := e.shard
	e.mu.Unlock()

	cell := on.cell(hash, KindOther, false)
	cell.mu.Lock()
	c.touchCell(cell, now)
	all(cell)
	cell.mu.Unlock()
}

// enter returns a tenant's entry with its lock held, and the hash of its ID.
func (c *Collector) enter(id tenant.ID) (*entry, uint64) {
	if id == "" {
		c.shared.mu.Lock()
		return c.shared, 0
	}
	hash := maphash.String(c.seed, string(id))
	st := &c.stripes[hash%numStripes]
	for {
		st.mu.RLock()
		e := st.tenants[id]
		st.mu.RUnlock()
		if e == nil {
			e = c.admit(st, id)
		}
		e.mu.Lock()
		if !e.gone {
			return e, hash / numStripes
		}
		e.mu.Unlock()
	}
}

// admit makes the entry of a tenant that has none. If there is no room, or the ID is
// none, it is the stripe's for the rest.
func (c *Collector) admit(st *stripe, id tenant.ID) *entry {
	st.mu.Lock()
	defer st.mu.Unlock()
	if e := st.tenants[id]; e != nil {
		return e
	}
	_, err := tenant.ParseID(string(id))
	if err == nil && (c.tracked.Add(1) <= int64(c.config.MaxTenants) || c.named[id]) {
		// The caller's string may be a piece of a request.
		e := c.newEntry(tenant.ID(strings.Clone(string(id))))
		st.tenants[e.id] = e
		return e
	}
	if err == nil {
		c.tracked.Add(-1)
	}
	if st.rest == nil {
		st.rest = c.newEntry("")
	}
	return st.rest
}

func (c *Collector) newEntry(id tenant.ID) *entry {
	now := c.now()
	return &entry{id: id, first: now, seen: now, tick: uint32(now >> tickShift), shard: (*c.shards.Load())[""]}
}

// touch brings an entry, whose lock is held, to now and to a shard.
func (c *Collector) touch(e *entry, shard string, now int64) {
	if tick := uint32(now >> tickShift); tick > e.tick {
		e.advance(tick, c.decay(now, e.tick), tick/c.halving-e.tick/c.halving)
	}
	e.seen = max(e.seen, now)
	if shard != "" && shard != e.shard.name {
		e.shard = c.shardNamed(shard)
	}
}

// touchCell brings a cell, whose lock is held, to now.
func (c *Collector) touchCell(cell *cell, now int64) {
	if tick := uint32(now >> tickShift); tick > cell.tick {
		cell.counts.recent *= float64(c.decay(now, cell.tick))
		cell.tick = tick
	}
}

// each calls f for every tenant's entry. No lock is held meanwhile, so that f may
// be given one that is evicted just then.
func (c *Collector) each(f func(*entry)) {
	var batch []*entry
	for i := range c.stripes {
		st := &c.stripes[i]
		batch = batch[:0]
		st.mu.RLock()
		for _, e := range st.tenants {
			batch = append(batch, e)
		}
		st.mu.RUnlock()
		for _, e := range batch {
			f(e)
		}
	}
}

// rest calls f for the entries of those for whom there was no room.
func (c *Collector) rest(f func(*entry)) {
	for i := range c.stripes {
		st := &c.stripes[i]
		st.mu.RLock()
		e := st.rest
		st.mu.RUnlock()
		if e != nil {
			f(e)
		}
	}
}
