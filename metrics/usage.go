package metrics

import (
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Usage is what a tenant used since the process saw it first. It only grows, until
// the tenant is evicted for being idle: then it begins anew, with another Since.
type Usage struct {
	// Since is when counting began. Differences between two Usages mean something
	// only if it is the same in both.
	Since time.Time
	// Statements counts by Kind, failed ones included, Errors by Class.
	Statements [NumKinds]uint64
	Errors     [NumClasses]uint64
	// Rows were returned or affected, Replica statements were answered by replicas,
	// RoundTrips were made, Waits statements had to wait for a connection, Commits
	// transactions ended.
	Rows, Replica, RoundTrips, Waits, Commits uint64
	// Time is that of statements at the database, Wait that for connections,
	// CommitTime that of commits and rollbacks.
	Time, Wait, CommitTime time.Duration
	// LogTime is the sum of ln(seconds) over statements, each to a thousandth, from
	// a microsecond on. By Count it gives the geometric mean.
	LogTime float64
	// Query is that of most database time lately.
	Query Query
}

// Query is a statement without its values.
type Query struct {
	// Fingerprint is the same in every process and version; zero: no query.
	Fingerprint uint64
	// Text has a ? for each value. It is empty where the process no longer knows it.
	Text string
	// Time and Count are of late: they halve with Config.HalfLife. A tenant has few
	// places for queries; one that took another's place inherits its time, so that
	// both may be too high, never too low.
	Time  time.Duration
	Count uint64
}

// Count returns the number of statements of all kinds.
func (u *Usage) Count() (n uint64) {
	for _, k := range u.Statements {
		n += k
	}
	return n
}

// Failed returns the number of errors of all classes.
func (u *Usage) Failed() (n uint64) {
	for _, k := range u.Errors {
		n += k
	}
	return n
}

// DatabaseTime returns the time at the database, commits included.
func (u *Usage) DatabaseTime() time.Duration { return u.Time + u.CommitTime }

// add adds the counts of v.
func (u *Usage) add(v *Usage) { u.sum(v, 1) }

// subtract takes the counts of v away, which u must include.
func (u *Usage) subtract(v *Usage) { u.sum(v, -1) }

// sum adds the counts of v times sign, which is 1 or -1: unsigned counts wrap round
// to the right result.
func (u *Usage) sum(v *Usage, sign int64) {
	n := uint64(sign)
	for i := range u.Statements {
		u.Statements[i] += n * v.Statements[i]
	}
	for i := range u.Errors {
		u.Errors[i] += n * v.Errors[i]
	}
	u.Rows += n * v.Rows
	u.Replica += n * v.Replica
	u.RoundTrips += n * v.RoundTrips
	u.Waits += n * v.Waits
	u.Commits += n * v.Commits
	u.Time += time.Duration(sign) * v.Time
	u.Wait += time.Duration(sign) * v.Wait
	u.CommitTime += time.Duration(sign) * v.CommitTime
	u.LogTime += float64(sign) * v.LogTime
}

// Each calls fn for every tenant that is tracked, with its last shard and its usage.
// The order is arbitrary. No lock is held while fn runs; shared tables and tenants
// beyond MaxTenants are left out.
func (c *Collector) Each(fn func(id tenant.ID, shard string, u Usage)) {
	now := c.now()
	c.each(func(e *entry) {
		e.mu.Lock()
		u, shard := e.usage(), e.shard.name
		u.Query = e.topQuery(c.decay(now, e.tick))
		e.mu.Unlock()
		u.Since = c.wall(e.first)
		fn(e.id, shard, u)
	})
}

// Totals returns the usage of all tenants and of shared tables since the Collector
// was made, evicted tenants included: sums are exact for ever. It has no Query.
func (c *Collector) Totals() Usage {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := c.evicted
	add := func(e *entry) {
		e.mu.Lock()
		u := e.usage()
		e.mu.Unlock()
		total.add(&u)
	}
	c.each(add)
	c.rest(add)
	add(c.shared)
	total.Since = c.base
	return total
}
