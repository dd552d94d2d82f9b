package quota

import (
	"cmp"
	"math"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Effective is what holds for a tenant. It is never changed after it was handed
// out: ask for it with each statement.
type Effective struct {
	// Limits are complete: bursts and the queue's timeout are filled in.
	Limits
	// Quarantined is whether the tenant runs in the quarantine lane.
	Quarantined bool
	// Full is whether the tenant's schema has outgrown StorageBytes: statements
	// that add data are to be refused.
	Full bool
	// ReadReplicasOnly is whether the tenant's reads keep off the primary.
	ReadReplicasOnly bool

	policy *policy
	tier   tenant.Tier
	// until is when it ends by itself, in Unix nanoseconds: a quarantine's end.
	// 0: never.
	until int64
}

// complete fills in what Limits leave to defaults.
func (l Limits) complete() Limits {
	l.StatementBurst = burst(l.StatementsPerSecond, l.StatementBurst)
	l.RequestBurst = burst(l.RequestsPerSecond, l.RequestBurst)
	if l.Concurrency == 0 {
		l.Queue = 0
	}
	if l.Queue > 0 && l.QueueTimeout == 0 {
		l.QueueTimeout = Duration(DefaultQueueTimeout)
	}
	return l
}

func burst(rate float64, burst int) int {
	switch {
	case rate == 0:
		return 0
	case burst > 0:
		return burst
	}
	return int(min(max(1, rate), math.MaxInt32))
}

// Stricter returns, field by field, the stricter one of two limits.
func (l Limits) Stricter(than Limits) Limits {
	a, b := l.complete(), than.complete()
	s := Limits{
		StatementsPerSecond:      lower(a.StatementsPerSecond, b.StatementsPerSecond),
		StatementBurst:           lower(a.StatementBurst, b.StatementBurst),
		RequestsPerSecond:        lower(a.RequestsPerSecond, b.RequestsPerSecond),
		RequestBurst:             lower(a.RequestBurst, b.RequestBurst),
		Concurrency:              lower(a.Concurrency, b.Concurrency),
		QueueTimeout:             lower(a.QueueTimeout, b.QueueTimeout),
		DatabaseShare:            lower(a.DatabaseShare, b.DatabaseShare),
		Connections:              lower(a.Connections, b.Connections),
		RowsPerResult:            lower(a.RowsPerResult, b.RowsPerResult),
		StatementTimeout:         lower(a.StatementTimeout, b.StatementTimeout),
		IdleInTransactionTimeout: lower(a.IdleInTransactionTimeout, b.IdleInTransactionTimeout),
		StorageBytes:             lower(a.StorageBytes, b.StorageBytes),
	}
	// No queue is the strictest one, where there is something to queue for.
	switch {
	case a.Concurrency == 0:
		s.Queue = b.Queue
	case b.Concurrency == 0:
		s.Queue = a.Queue
	default:
		s.Queue = min(a.Queue, b.Queue)
	}
	return s.complete()
}

// lower returns the lower one of two limits, of which zero is none.
func lower[T cmp.Ordered](a, b T) T {
	var none T
	if a == none || b != none && b < a {
		return b
	}
	return a
}

// effective computes what holds for a tenant at a moment.
func (p *policy) effective(t *tenant.Tenant, now time.Time) *Effective {
	e := &Effective{policy: p, tier: t.Tier, Limits: p.ofTier(t.Tier)}
	if exception, ok := p.exceptions[t.ID]; ok {
		e.Limits = exception.over(e.Limits)
	}
	if q, ok := p.Quarantined[t.ID]; ok && !q.DryRun && q.Until.After(now) {
		e.Quarantined, e.until = true, q.Until.UnixNano()
		e.Limits = e.Stricter(p.Lane.Limits)
		e.ReadReplicasOnly = p.Lane.ReadReplicasOnly
	}
	e.Limits = e.complete()
	if size, ok := p.Full[t.ID]; ok {
		// Who raises the limit need not wait for the next measurement.
		e.Full = e.StorageBytes > 0 && size >= e.StorageBytes
	}
	return e
}

func (p *policy) ofTier(tier tenant.Tier) Limits {
	if tier == "" {
		tier = tenant.TierDefault
	}
	if l, ok := p.Tiers[tier]; ok {
		return l
	}
	return p.Tiers[TierAny]
}
