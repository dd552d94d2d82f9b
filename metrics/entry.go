package metrics

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/sqltext"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// numSlots is the number of queries that are remembered of a tenant.
const numSlots = 4

// entry is what is known of a tenant. It is small, because there are 100,000 of
// them: errors and bins have memory only when they are needed.
type entry struct {
	id    tenant.ID // immutable
	first int64     // immutable: when it was first seen

	// mu guards what follows. Nothing else is locked while it is held.
	mu   sync.Mutex
	gone bool   // evicted: what comes late must look for a new entry
	turn uint32 // the number of times that bins were halved for age
	tick uint32 // of recent and queries
	// shard is the last one; it is never nil.
	shard *shard
	seen  int64 // when it was last seen

	statements                          [NumKinds]uint64
	errors                              *[NumClasses]uint64
	rows, replica, trips, waits, commit uint64
	time, wait, commitTime, longest     time.Duration
	logTime                             float64
	recent                              recent
	queries                             [numSlots]slot
	bins                                bins
}

// recent are counts that halve with Config.HalfLife.
type recent struct{ statements, errors, rows, time, wait float32 }

// slot is a query's place. It holds no text: what 100,000 tenants keep is bounded
// that way.
type slot struct {
	fingerprint uint64
	time, count float32 // seconds; both of late
}

// advance brings what decays to a tick. factor is the decay since e.tick.
func (e *entry) advance(tick uint32, factor float32, halvings uint32) {
	r := &e.recent
	r.statements *= factor
	r.errors *= factor
	r.rows *= factor
	r.time *= factor
	r.wait *= factor
	for i := range e.queries {
		e.queries[i].time *= factor
		e.queries[i].count *= factor
	}
	for range min(halvings, 33) {
		e.bins.halve(e.turn)
		e.turn++
	}
	e.tick = tick
}

// observe counts a statement.
func (e *entry) observe(s *Statement, p *sqltext.Print, m *measured) {
	e.statements[m.kind]++
	r := &e.recent
	r.statements++
	r.time += float32(m.seconds)
	e.time += m.duration
	e.longest = max(e.longest, m.duration)
	e.logTime += m.ln
	e.bins.add(m.bin)
	if s.Rows > 0 {
		e.rows += uint64(s.Rows)
		r.rows += float32(s.Rows)
	}
	if s.RoundTrips > 0 {
		e.trips += uint64(s.RoundTrips)
	}
	if s.Wait > 0 {
		e.waits++
		e.wait += s.Wait
		r.wait += float32(s.Wait.Seconds())
	}
	if s.Replica {
		e.replica++
	}
	if m.class != ClassNone {
		e.failed(m.class)
	}
	if p != nil {
		e.ran(p.ID, float32(m.seconds))
	}
}

func (e *entry) failed(c Class) {
	if e.errors == nil {
		e.errors = new([NumClasses]uint64)
	}
	e.errors[c]++
	e.recent.errors++
}

// ran adds to a query's slot. As in Space-Saving, a newcomer takes the lightest
// one's, and its weight.
func (e *entry) ran(fingerprint uint64, seconds float32) {
	lightest := &e.queries[0]
	for i := range e.queries {
		s := &e.queries[i]
		if s.fingerprint == fingerprint {
			s.time += seconds
			s.count++
			return
		}
		if s.time < lightest.time || s.fingerprint == 0 && lightest.fingerprint != 0 {
			lightest = s
		}
	}
	lightest.fingerprint = fingerprint
	lightest.time += seconds
	lightest.count++
}

// usage returns the counts, without Since and Query.
func (e *entry) usage() Usage {
	u := Usage{
		Statements: e.statements, Rows: e.rows, Replica: e.replica, RoundTrips: e.trips, Waits: e.waits, Commits: e.commit,
		Time: e.time, Wait: e.wait, CommitTime: e.commitTime, LogTime: e.logTime,
	}
	if e.errors != nil {
		u.Errors = *e.errors
	}
	return u
}

func (s slot) query(factor float32) Query {
	if s.fingerprint == 0 {
		return Query{}
	}
	return Query{
		Fingerprint: s.fingerprint, Text: sqltext.NormalisedText(s.fingerprint),
		Time:  time.Duration(float64(s.time*factor) * float64(time.Second)),
		Count: uint64(math.Round(float64(s.count * factor))),
	}
}

// topQuery returns the query of most time.
func (e *entry) topQuery(factor float32) Query {
	top := e.queries[0]
	for _, s := range e.queries[1:] {
		if s.time > top.time {
			top = s
		}
	}
	return top.query(factor)
}

// topQueries returns all queries, that of most time first.
func (e *entry) topQueries(factor float32) (all []Query) {
	for _, s := range e.queries {
		if s.fingerprint != 0 {
			all = append(all, s.query(factor))
		}
	}
	slices.SortFunc(all, func(a, b Query) int { return int(b.Time - a.Time) })
	return all
}
