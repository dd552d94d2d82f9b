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
	reasons
)

type counters struct {
	opened, failed, waits, canceled int64
	waited                          time.Duration
	retired                         [reasons]int64
}

// Stats is a snapshot of a pool.
type Stats struct {
	Shard, Node string
	Login       string // in strict mode, of the tenants' own pools
	MaxConns    int
	Open        int // idle, in use, or being opened
	Idle        int
	Waiting     int           // callers that wait now
	Opened      int64         // connections opened so far
	Failed      int64         // attempts to open that failed
	Waits       int64         // callers that had to wait
	Canceled    int64         // callers that gave up waiting
	WaitTime    time.Duration // time spent waiting, all callers
	// Why connections were closed.
	RetiredAge, RetiredTenants, RetiredBroken, RetiredTrimmed, RetiredClosed, RetiredLent int64
}

// InUse returns how many connections are in somebody's hands.
func (s Stats) InUse() int { return s.Open - s.Idle }

// Stats returns a snapshot.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.stats.retired
	return Stats{
		Shard: p.cfg.Shard, Node: p.cfg.Node, Login: p.cfg.Login, MaxConns: p.cfg.MaxConns,
		Open: p.total, Idle: len(p.idle), Waiting: len(p.waiters),
		Opened: p.stats.opened, Failed: p.stats.failed,
		Waits: p.stats.waits, Canceled: p.stats.canceled, WaitTime: p.stats.waited,
		RetiredAge: r[retiredAge], RetiredTenants: r[retiredTenants], RetiredBroken: r[retiredBroken],
		RetiredTrimmed: r[retiredTrimmed], RetiredClosed: r[retiredClosed], RetiredLent: r[retiredLent],
	}
}
