package pool

import "time"

// reason says why a connection was closed.
type reason int

const (
	retiredAge     reason = iota // older than MaxAge
	retiredTenants               // served more than MaxTenants
	retiredBroken                // closed by the server, or its session was changed
	retiredTrimmed               // the application's own pool settings
	retiredClosed                // the pool was closed
	retiredLent                  // given back to the pool that it came from
	retiredIdle                  // idle for longer than MaxIdle
	retiredBudget                // its place was another pool's due
	reasons
)

type counters struct {
	opened, failed, waits, canceled, refused, slow, leaks int64
	waited                                                time.Duration
	retired                                               [reasons]int64
}

// Stats is a snapshot of a pool.
type Stats struct {
	Shard, Node   string
	Login         string // in strict mode, of the tenants' own pools
	MaxConns      int
	Open          int // idle, in use, being opened, or being closed
	Idle          int
	Lane          int           // of those in use, the quarantine lane's
	Waiting       int           // callers that wait now
	WaitingOwners int           // tenants that these are of
	Opened        int64         // connections opened so far
	Failed        int64         // attempts to open that failed
	Waits         int64         // callers that had to wait
	Canceled      int64         // callers that gave up waiting
	Refused       int64         // callers that were one too many to wait (FullError)
	Slow          int64         // callers that waited for longer than SlowAcquire
	Leaks         int64         // holdings that were reported as leaks
	WaitTime      time.Duration // time spent waiting, all callers
	// OldestIdle is how long the connection idles that does so longest, OldestConn how
	// long the oldest is open.
	OldestIdle, OldestConn time.Duration
	// MostTenants is how many distinct tenants an open connection has served at most,
	// Tenants the sum over the open connections: servers' memory grows with it.
	MostTenants, Tenants int
	// Breaker is "closed", "open" (no attempts to open connections, until RetryAfter)
	// or "half-open" (one attempt). Trips counts how often it opened.
	Breaker    string
	RetryAfter time.Duration
	Trips      int64
	// BudgetUsed and BudgetTotal are of all the pools of the Budget together, zero
	// without.
	BudgetUsed, BudgetTotal int
	// Why connections were closed.
	RetiredAge, RetiredTenants, RetiredBroken, RetiredTrimmed, RetiredClosed, RetiredLent int64
	RetiredIdle, RetiredBudget                                                            int64
}

// InUse returns how many connections are in somebody's hands.
func (s Stats) InUse() int { return s.Open - s.Idle }

// Retired returns why connections were closed, and how many each.
func (s Stats) Retired() map[string]int64 {
	return map[string]int64{
		"age": s.RetiredAge, "tenants": s.RetiredTenants, "broken": s.RetiredBroken, "trimmed": s.RetiredTrimmed,
		"closed": s.RetiredClosed, "lent": s.RetiredLent, "idle": s.RetiredIdle, "budget": s.RetiredBudget,
	}
}

// Stats returns a snapshot.
func (p *Pool) Stats() Stats {
	now := time.Now()
	used, total := p.budget.Usage()
	p.mu.Lock()
	defer p.mu.Unlock()
	n, r := p.stats, p.stats.retired
	s := Stats{
		Shard: p.cfg.Shard, Node: p.cfg.Node, Login: p.cfg.Login, MaxConns: p.cfg.MaxConns,
		Open: p.open(), Idle: len(p.idle), Lane: p.lane, Waiting: p.queue.n, WaitingOwners: len(p.queue.lines),
		Opened: n.opened, Failed: n.failed, Waits: n.waits, Canceled: n.canceled, Refused: n.refused,
		Slow: n.slow, Leaks: n.leaks, WaitTime: n.waited,
		Breaker: p.breaker.state(now), RetryAfter: p.breaker.refuses(now), Trips: p.breaker.trips,
		BudgetUsed: used, BudgetTotal: total,
		RetiredAge: r[retiredAge], RetiredTenants: r[retiredTenants], RetiredBroken: r[retiredBroken],
		RetiredTrimmed: r[retiredTrimmed], RetiredClosed: r[retiredClosed], RetiredLent: r[retiredLent],
		RetiredIdle: r[retiredIdle], RetiredBudget: r[retiredBudget],
	}
	for _, c := range p.idle {
		s.OldestIdle = max(s.OldestIdle, now.Sub(c.rested))
		s.add(c, now)
	}
	for _, c := range p.busy {
		s.add(c, now)
	}
	return s
}

// add adds an open connection.
func (s *Stats) add(c *Conn, now time.Time) {
	if c.Session == nil {
		return
	}
	s.OldestConn = max(s.OldestConn, now.Sub(c.created))
	s.MostTenants = max(s.MostTenants, len(c.tenants))
	s.Tenants += len(c.tenants)
}
