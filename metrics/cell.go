package metrics

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// cellStripes is how often each aggregate exists, so that tenants seldom meet in one.
	cellStripes = 8
	numRoles    = 2 // primary and replica
	// maxShards bounds the shards that are told apart; the rest are "_other".
	maxShards = 256
)

// shard has the aggregates of one shard.
type shard struct {
	name  string
	cells [cellStripes][NumKinds][numRoles]atomic.Pointer[cell]
}

// cell is one stripe of an aggregate: of a shard, a kind and a role.
type cell struct {
	// mu guards all of it. Nothing else is locked while it is held.
	mu sync.Mutex
	counts
	tick      uint32 // of recent
	exemplars *[numClassic + 1]exemplar
}

// counts are an aggregate's.
type counts struct {
	bins                [numBins]uint64
	errors              [NumClasses]uint64
	rows, trips, commit uint64
	time, wait          time.Duration
	recent              float64 // seconds at the database, of late
}

// exemplar is a statement with a trace.
type exemplar struct {
	trace   string
	seconds float64
	at      time.Time
}

func (s *shard) cell(stripe uint64, kind Kind, replica bool) *cell {
	role := 0
	if replica {
		role = 1
	}
	place := &s.cells[stripe%cellStripes][kind][role]
	if found := place.Load(); found != nil {
		return found
	}
	place.CompareAndSwap(nil, new(cell))
	return place.Load()
}

// observe counts a statement.
func (c *cell) observe(s *Statement, m *measured) {
	c.bins[m.bin]++
	c.time += m.duration
	c.recent += m.seconds
	if s.Rows > 0 {
		c.rows += uint64(s.Rows)
	}
	if s.RoundTrips > 0 {
		c.trips += uint64(s.RoundTrips)
	}
	if s.Wait > 0 {
		c.wait += s.Wait
	}
	if m.class != ClassNone {
		c.errors[m.class]++
	}
	if s.TraceID != "" {
		c.exemplify(s.TraceID, m)
	}
}

// exemplify keeps the statement as its classic bucket's latest exemplar.
func (c *cell) exemplify(trace string, m *measured) {
	if len(trace) > maxTraceID {
		return
	}
	if c.exemplars == nil {
		c.exemplars = new([numClassic + 1]exemplar)
	}
	c.exemplars[classicOf(m.bin)] = exemplar{trace, m.seconds, time.Now()}
}

// read adds the cell to sums and replaces older exemplars. factor is the decay
// since a tick.
func (c *cell) read(sum *counts, latest *[numClassic + 1]exemplar, factor func(tick uint32) float32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	recent := c.recent * float64(factor(c.tick))
	sum.add(&c.counts)
	sum.recent += recent
	if c.exemplars == nil || latest == nil {
		return
	}
	for i, x := range c.exemplars {
		if x.at.After(latest[i].at) {
			latest[i] = x
		}
	}
}

// add adds all but what is recent.
func (c *counts) add(more *counts) {
	for i, n := range more.bins {
		c.bins[i] += n
	}
	for i, n := range more.errors {
		c.errors[i] += n
	}
	c.rows += more.rows
	c.trips += more.trips
	c.commit += more.commit
	c.time += more.time
	c.wait += more.wait
}

// eachCell calls f for the cells of a shard that exist.
func (s *shard) eachCell(f func(kind Kind, role int, c *cell)) {
	for i := range s.cells {
		for kind := range s.cells[i] {
			for role := range s.cells[i][kind] {
				if c := s.cells[i][kind][role].Load(); c != nil {
					f(Kind(kind), role, c)
				}
			}
		}
	}
}

// shardNamed returns the aggregates of a shard. Shards are few, so that the map is
// copied for each new one and read without a lock.
func (c *Collector) shardNamed(name string) *shard {
	old := *c.shards.Load()
	if s := old[name]; s != nil {
		return s
	}
	if len(old) >= maxShards {
		return old[others]
	}
	c.newShards.Lock()
	defer c.newShards.Unlock()
	old = *c.shards.Load()
	if s := old[name]; s != nil {
		return s
	}
	name = strings.Clone(strings.ToValidUTF8(name, "?"))
	if s := old[name]; s != nil {
		return s
	}
	if len(old) >= maxShards {
		return old[others]
	}
	all := make(map[string]*shard, len(old)+1)
	for n, s := range old {
		all[n] = s
	}
	made := &shard{name: name}
	all[name] = made
	c.shards.Store(&all)
	return made
}
