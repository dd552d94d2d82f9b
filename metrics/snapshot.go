package metrics

import (
	"cmp"
	"hash/maphash"
	"slices"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Snapshot is what a tenant does, at one moment. Rates, shares and the error ratio
// are recent: they look back over Config.HalfLife.
type Snapshot struct {
	Tenant tenant.ID
	// Shard is where its last statement ran.
	Shard string
	// Usage is everything since Usage.Since.
	Usage Usage
	// LastSeen is when it last did something, to a quarter of a second.
	LastSeen time.Time
	// StatementsPerSecond, ErrorsPerSecond and RowsPerSecond are rates.
	StatementsPerSecond, ErrorsPerSecond, RowsPerSecond float64
	// TimePerSecond and WaitPerSecond are seconds at the database, commits included,
	// and seconds of waiting for a connection, per second: how many connections it
	// keeps busy, and how many callers wait.
	TimePerSecond, WaitPerSecond float64
	// ErrorRatio is errors per statement.
	ErrorRatio float64
	// TimeShare is the tenant's part of the database time of its shard, shared
	// tables' included.
	TimeShare float64
	// Latency is the mean database time of a statement, commits included.
	Latency time.Duration
	// P50, P95 and P99 are quantiles of statements' durations, to 4.3%, over about
	// five half-lives. Max is the longest since Usage.Since.
	P50, P95, P99, Max time.Duration
	// ReplicaShare is the part of the statements that replicas answered,
	// RoundTripsPerStatement how chatty they are; both since Usage.Since.
	ReplicaShare, RoundTripsPerStatement float64
	// Queries are those of most database time of late, at most four.
	Queries []Query
}

// By is what Top sorts by.
type By uint8

// What Top sorts by: all of late, as Snapshot has it.
const (
	ByTime       By = iota // TimePerSecond
	ByStatements           // StatementsPerSecond
	ByErrors               // ErrorsPerSecond
	ByRows                 // RowsPerSecond
	ByWait                 // WaitPerSecond
	ByLatency              // Latency
)

// Tenant returns a tenant's snapshot, false if it is not tracked. The empty ID is
// that of shared tables.
func (c *Collector) Tenant(id tenant.ID) (Snapshot, bool) {
	now := c.now()
	e := c.shared
	if id != "" {
		st := &c.stripes[maphash.String(c.seed, string(id))%numStripes]
		st.mu.RLock()
		e = st.tenants[id]
		st.mu.RUnlock()
	}
	if e == nil {
		return Snapshot{}, false
	}
	e.mu.Lock()
	return c.snapshot(e, now), true
}

// snapshot releases e's lock, which is held.
func (c *Collector) snapshot(e *entry, now int64) Snapshot {
	factor := c.decay(now, e.tick)
	r, on, longest := e.recent.times(factor), e.shard, e.longest
	s := Snapshot{Tenant: e.id, Shard: on.name, Usage: e.usage(), LastSeen: c.wall(e.seen), Max: longest, Queries: e.topQueries(factor)}
	q := e.bins.quantiles(longest, 0.5, 0.95, 0.99)
	e.mu.Unlock()

	s.P50, s.P95, s.P99 = q[0], q[1], q[2]
	s.Usage.Since = c.wall(e.first)
	if len(s.Queries) > 0 {
		s.Usage.Query = s.Queries[0]
	}
	s.rates(r, c.weight(now, e.first))
	if all := c.recentTime(on, now); all > 0 {
		s.TimeShare = min(float64(r.time)/all, 1)
	}
	return s
}

func (s *Snapshot) rates(r recent, seconds float64) {
	s.StatementsPerSecond = float64(r.statements) / seconds
	s.ErrorsPerSecond = float64(r.errors) / seconds
	s.RowsPerSecond = float64(r.rows) / seconds
	s.TimePerSecond = float64(r.time) / seconds
	s.WaitPerSecond = float64(r.wait) / seconds
	if r.statements > 0 {
		s.ErrorRatio = float64(r.errors / r.statements)
		s.Latency = time.Duration(r.latency() * float64(time.Second))
	}
	if n := float64(s.Usage.Count()); n > 0 {
		s.ReplicaShare = float64(s.Usage.Replica) / n
		s.RoundTripsPerStatement = float64(s.Usage.RoundTrips) / n
	}
}

func (r recent) times(f float32) recent {
	return recent{r.statements * f, r.errors * f, r.rows * f, r.time * f, r.wait * f}
}

// latency is in seconds.
func (r recent) latency() float64 {
	if r.statements == 0 {
		return 0
	}
	return float64(r.time / r.statements)
}

// recentTime returns a shard's database time of late, in seconds.
func (c *Collector) recentTime(s *shard, now int64) float64 {
	var sum counts
	s.eachCell(func(_ Kind, _ int, cell *cell) {
		cell.read(&sum, nil, func(tick uint32) float32 { return c.decay(now, tick) })
	})
	return sum.recent
}

// Top returns the n tenants that have most of something, the first one first.
// Tenants that have none of it are left out.
func (c *Collector) Top(n int, by By) []Snapshot {
	now := c.now()
	best := top[*entry]{n: n}
	c.each(func(e *entry) {
		e.mu.Lock()
		r := e.recent.times(c.decay(now, e.tick))
		e.mu.Unlock()
		best.offer(e, by.of(r)/by.scale(c, now, e))
	})
	var all []Snapshot
	for _, e := range best.sorted() {
		e.mu.Lock()
		all = append(all, c.snapshot(e, now))
	}
	return all
}

func (b By) of(r recent) float64 {
	switch b {
	case ByStatements:
		return float64(r.statements)
	case ByErrors:
		return float64(r.errors)
	case ByRows:
		return float64(r.rows)
	case ByWait:
		return float64(r.wait)
	case ByLatency:
		return r.latency()
	}
	return float64(r.time)
}

// scale is what makes a rate of a sum.
func (b By) scale(c *Collector, now int64, e *entry) float64 {
	if b == ByLatency {
		return 1
	}
	return c.weight(now, e.first)
}

// top keeps the n items of most weight out of many.
type top[T any] struct {
	n     int
	items []weighed[T]
}

type weighed[T any] struct {
	item   T
	weight float64
}

func (t *top[T]) offer(item T, weight float64) {
	if t.n <= 0 || !(weight > 0) {
		return
	}
	if t.items = append(t.items, weighed[T]{item, weight}); len(t.items) >= 2*t.n+64 {
		t.trim()
	}
}

func (t *top[T]) trim() {
	slices.SortFunc(t.items, func(a, b weighed[T]) int { return cmp.Compare(b.weight, a.weight) })
	t.items = t.items[:min(t.n, len(t.items))]
}

func (t *top[T]) sorted() []T {
	t.trim()
	var all []T
	for _, w := range t.items {
		all = append(all, w.item)
	}
	return all
}
