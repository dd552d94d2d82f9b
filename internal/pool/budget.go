package pool

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// turn is how long a pool may keep a place that another one has none of, where there
// are more pools than places.
const turn = 100 * time.Millisecond

// Budget bounds the open connections of all the pools that were made with it. A nil
// one has no bound.
//
// A pool that wants a connection when none is left takes the place of the one that
// idles longest in another pool. If none idles it waits for the pools that have more
// than their share, which is the same for all pools that have connections or want
// some: these let go of what their callers give back.
type Budget struct {
	total, perServer int

	// hungry counts the pools in which somebody waits for a place. It is changed
	// under mu, and read without by whoever gives something back.
	hungry atomic.Int32

	// mu guards what follows and each pool's seat. It comes before the pools' own
	// locks, of which one is held at a time. It is not held while connecting, closing
	// or waiting.
	mu      sync.Mutex
	used    int
	servers map[string]int // used, by Config.Server
	pools   []*Pool
	clock   uint64
}

// seat is what a Budget knows of a pool.
type seat struct {
	slots   int    // places that it has
	leaving int    // of them, those whose connections are being closed for others
	hungry  int    // places that it could use at once
	since   uint64 // when it became hungry
	pending int    // places that are being freed for it
}

// NewBudget returns a Budget of total connections, of which at most perServer go to
// one server. Zero or less: no such bound.
func NewBudget(total, perServer int) *Budget {
	return &Budget{total: total, perServer: perServer, servers: map[string]int{}}
}

// Usage returns how many connections are open, being opened or being closed, and how
// many may be.
func (b *Budget) Usage() (used, total int) {
	if b == nil {
		return 0, 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, b.total
}

func (b *Budget) join(p *Pool) {
	b.mu.Lock()
	b.pools = append(b.pools, p)
	b.mu.Unlock()
}

// part forgets a closed pool.
func (b *Budget) part(p *Pool) {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.refresh(p)
	if i := slices.Index(b.pools, p); i >= 0 {
		b.pools = slices.Delete(b.pools, i, i+1)
	}
	b.mu.Unlock()
}

// feed finds places for those who wait in p.
func (b *Budget) feed(p *Pool) {
	b.mu.Lock()
	b.refresh(p)
	b.settle()
	b.mu.Unlock()
}

func (b *Budget) feedIf(hungry bool, p *Pool) {
	if hungry {
		b.feed(p)
	}
}

// offer takes what idles now, if somebody elsewhere waits for a place.
func (b *Budget) offer(idle bool) {
	if b == nil || !idle || b.hungry.Load() == 0 {
		return
	}
	b.mu.Lock()
	b.settle()
	b.mu.Unlock()
}

// give takes p's place back, that of c if there was a connection.
func (b *Budget) give(p *Pool, c *Conn) {
	if b == nil || p.budget != b {
		return
	}
	b.mu.Lock()
	b.count(p, -1)
	if c != nil && c.feeds != nil {
		c.feeds.seat.pending--
		p.seat.leaving--
	}
	b.refresh(p)
	b.settle()
	b.mu.Unlock()
}

// claims reports whether the place of c, which its holder gives back, must go to
// another pool.
func (b *Budget) claims(c *Conn, now time.Time) bool {
	if b == nil || c.pool.budget != b || b.hungry.Load() == 0 {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.needy() {
		if b.refresh(p); p != c.pool && p.seat.hungry > p.seat.pending && b.owes(c, p, now) {
			b.take(c, p)
			return true
		}
	}
	return false
}

// owes reports whether c's pool has more than its share, and p less.
func (b *Budget) owes(c *Conn, p *Pool, now time.Time) bool {
	scope := b.bind(p)
	if b.fits(p) || !scope.holds(c.pool) {
		return false
	}
	active := 0
	for _, other := range b.pools {
		if scope.holds(other) && (other.seat.slots > 0 || other.seat.hungry > 0) {
			active++
		}
	}
	share := max(scope.limit/active, 1)
	has := p.seat.slots - p.seat.leaving + p.seat.pending
	if has >= share {
		return false
	}
	return c.pool.seat.slots-c.pool.seat.leaving > share || has == 0 && now.Sub(c.created) > turn
}

// scope is the bound that keeps a pool from a place.
type scope struct {
	limit  int
	one    bool // server's alone
	server string
}

func (s scope) holds(p *Pool) bool { return !s.one || p.cfg.Server == s.server }

func (b *Budget) bind(p *Pool) scope {
	if b.perServer > 0 && b.servers[p.cfg.Server] >= b.perServer {
		return scope{b.perServer, true, p.cfg.Server}
	}
	return scope{limit: b.total}
}

// fits reports whether there is a place for p.
func (b *Budget) fits(p *Pool) bool {
	return (b.total <= 0 || b.used < b.total) && (b.perServer <= 0 || b.servers[p.cfg.Server] < b.perServer)
}

// count enters n more places of p.
func (b *Budget) count(p *Pool, n int) {
	p.seat.slots += n
	b.used += n
	b.servers[p.cfg.Server] += n
}

// take notes that the connection c is closed to make a place for p.
func (b *Budget) take(c *Conn, p *Pool) {
	c.feeds = p
	c.pool.seat.leaving++
	p.seat.pending++
}

// refresh asks how many places p could use.
func (b *Budget) refresh(p *Pool) {
	p.mu.Lock()
	n := 0
	if !p.closed && len(p.idle) == 0 {
		n = p.queue.appetite(p.room(), p.cfg.LaneConns-p.lane, p.heldBy)
	}
	p.mu.Unlock()
	switch was := p.seat.hungry; {
	case was == 0 && n > 0:
		b.clock++
		p.seat.since = b.clock
		b.hungry.Add(1)
	case was > 0 && n == 0:
		b.hungry.Add(-1)
	}
	p.seat.hungry = n
}

// needy returns the hungry pools, those with the fewest places first.
func (b *Budget) needy() (all []*Pool) {
	for _, p := range b.pools {
		if p.seat.hungry > 0 {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(x, y *Pool) int {
		return cmp.Or(cmp.Compare(x.seat.slots+x.seat.pending, y.seat.slots+y.seat.pending), cmp.Compare(x.seat.since, y.seat.since))
	})
	return all
}

// settle hands out the places that are free, and makes more.
func (b *Budget) settle() {
	for _, p := range b.needy() {
		b.refresh(p)
	}
	for again := true; again; {
		again = false
		for _, p := range b.needy() {
			if b.fits(p) {
				b.grant(p)
				again = true
				break // another one may be needier now
			}
		}
	}
	for _, p := range b.needy() {
		for p.seat.pending < p.seat.hungry {
			victim := b.longestIdle(p)
			if victim == nil {
				break
			}
			b.take(victim, p)
			go victim.pool.finish(victim, retiredBudget)
		}
	}
}

// grant gives a place to the next one who waits in p.
func (b *Budget) grant(p *Pool) {
	p.mu.Lock()
	if !p.closed && len(p.idle) == 0 && p.room() > 0 {
		if w := p.queue.next(p.allows); w != nil {
			w.ch <- grant{c: p.hand(p.place(), w.claim)}
			b.count(p, 1)
		}
	}
	p.mu.Unlock()
	b.refresh(p)
}

// longestIdle takes the connection that has idled longest out of the pools whose
// places p could use.
func (b *Budget) longestIdle(p *Pool) *Conn {
	scope := b.bind(p)
	for {
		var from *Pool
		var rested time.Time
		for _, other := range b.pools {
			if other == p || !scope.holds(other) {
				continue
			}
			other.mu.Lock()
			if len(other.idle) > 0 && (from == nil || other.idle[0].rested.Before(rested)) {
				from, rested = other, other.idle[0].rested
			}
			other.mu.Unlock()
		}
		if from == nil {
			return nil
		}
		from.mu.Lock()
		if len(from.idle) > 0 { // or somebody was quicker
			c := from.remove(0)
			from.closing++
			from.mu.Unlock()
			return c
		}
		from.mu.Unlock()
	}
}
