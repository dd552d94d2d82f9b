package quota

import (
	"sync/atomic"
	"time"
)

// The limits that are counted.
const (
	statements = iota
	requests
	concurrency
	database
	limits
)

// kinds name them in the keys of shared buckets.
var kinds = [limits]string{"statements", "requests", "concurrency", "database"}

// counters of one limit, of the tenants of a stripe.
type counters struct {
	allowed, refused, queued atomic.Uint64
	waiting, queueTime       atomic.Int64
}

// LimitStats counts the decisions under one limit. Tenants that do not have it
// are not counted.
type LimitStats struct {
	Allowed uint64
	Refused uint64
	// Queued are those that had to wait, whatever became of them.
	Queued uint64
	// Waiting are those that wait now.
	Waiting int64
	// QueueTime is how long all together waited.
	QueueTime time.Duration
}

// Stats is a snapshot of a Governor.
type Stats struct {
	Statements, Requests, Concurrency, Database LimitStats
	// Fallbacks counts decisions that this process made by itself because the
	// shared limits could not be asked.
	Fallbacks uint64
	// Tenants are remembered, Quarantined are in the lane.
	Tenants, Quarantined int
	// Loads counts the policies that were read, LoadErrors the attempts in
	// vain, BadExceptions the exceptions of tenants that could not be read.
	Loads, LoadErrors, BadExceptions uint64
}

// Stats returns what was counted since New.
func (g *Governor) Stats() Stats {
	var sum [limits]LimitStats
	for i := range g.accounts.counters {
		for k := range sum {
			c, s := &g.accounts.counters[i][k], &sum[k]
			s.Allowed += c.allowed.Load()
			s.Refused += c.refused.Load()
			s.Queued += c.queued.Load()
			s.Waiting += c.waiting.Load()
			s.QueueTime += time.Duration(c.queueTime.Load())
		}
	}
	quarantined := 0
	if p := g.policy.Load(); p != nil {
		now := time.Now()
		for _, q := range p.Quarantined {
			if !q.DryRun && q.Until.After(now) {
				quarantined++
			}
		}
	}
	return Stats{
		Statements: sum[statements], Requests: sum[requests], Concurrency: sum[concurrency], Database: sum[database],
		Fallbacks: g.fallbacks.Load(), Tenants: int(g.accounts.count.Load()), Quarantined: quarantined,
		Loads: g.loads.Load(), LoadErrors: g.loadErrors.Load(), BadExceptions: g.badExceptions.Load(),
	}
}
