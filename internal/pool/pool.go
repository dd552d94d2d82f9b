package pool

import (
	"database/sql/driver"
	"log/slog"
	"sync"
	"time"
)

// The limits of a Config whose fields are zero.
const (
	DefaultMaxConns    = 50
	DefaultMaxAge      = 30 * time.Minute
	DefaultMaxIdle     = 5 * time.Minute
	DefaultMaxTenants  = 2500
	DefaultMaxWaiting  = 1000
	DefaultLaneConns   = 2
	DefaultSlowAcquire = time.Second
)

// Session is a connection as a Connector of this pool must make it.
type Session interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
	// InTx reports whether a transaction is open.
	InTx() bool
}

// Ender is a Session that can say goodbye and wait until the server has ended it.
// Under a Budget a place is free only then: the server counts what it has not ended.
type Ender interface {
	// End ends the session, within a time.
	End(within time.Duration)
}

// Lender is a Connector whose connections another pool keeps: they go back there
// as soon as they are released. What idled here would be missing there, and two
// pools of one Lender could wait for each other. No Budget counts them, for the
// same reason: the bound is the other pool's.
type Lender interface {
	driver.Connector
	Lends()
}

// Config describes a pool.
type Config struct {
	// Shard and Node name the pool in errors and statistics. A node is
	// "primary" or "replica-0" and so on.
	Shard, Node string
	// Login is whose connections they are, empty for the DSN's own user.
	Login string
	// Server names the server for a Budget that bounds each: its host and port.
	Server string
	// Connector opens connections that are Sessions. Required.
	Connector driver.Connector
	// MaxConns bounds the open connections. Default DefaultMaxConns.
	MaxConns int
	// LaneConns bounds those that all Claims of the Lane use together. Default
	// DefaultLaneConns.
	LaneConns int
	// MaxAge retires a connection. Default DefaultMaxAge.
	MaxAge time.Duration
	// MaxIdle is how long Sweep leaves a connection idle. Default DefaultMaxIdle,
	// negative: for ever.
	MaxIdle time.Duration
	// MaxTenants retires a connection that has served more distinct tenants.
	// Default DefaultMaxTenants.
	MaxTenants int
	// MaxWaiting bounds the callers of one owner that wait. Default
	// DefaultMaxWaiting.
	MaxWaiting int
	// Budget bounds the connections of several pools. May be nil.
	Budget *Budget
	// LeakAfter is how long a connection may be held before it is taken for leaked,
	// see ReportLeaks. Zero: nobody looks.
	LeakAfter time.Duration
	// SlowAcquire is how long an Acquire may wait before it is logged. Default
	// DefaultSlowAcquire, negative: never.
	SlowAcquire time.Duration
	// Logger gets the warnings. Default slog.Default.
	Logger *slog.Logger
}

// Pool is the pool of one node.
type Pool struct {
	cfg    Config
	lender bool    // cfg.Connector is a Lender
	budget *Budget // cfg.Budget, but a Lender has none
	seat   seat    // in the Budget, whose lock guards it

	// mu guards what follows, and the fields of Conn that say so. It is not held
	// while connecting, closing, waiting or logging. The Budget's lock, where both
	// are needed, comes first.
	//
	// Nobody waits who could be served: whoever makes room serves (see serve).
	mu      sync.Mutex
	idle    []*Conn // in the order of their last use
	busy    []*Conn // in somebody's hands, or being opened for somebody
	lane    int     // of busy, those of the lane
	closing int
	queue   queue
	breaker breaker
	slow    slow
	closed  bool
	drained chan struct{} // closed when closed and nothing is open
	stats   counters
}

// New returns a pool that has opened nothing yet.
func New(cfg Config) *Pool {
	cfg.MaxConns = positive(cfg.MaxConns, DefaultMaxConns)
	cfg.LaneConns = positive(cfg.LaneConns, DefaultLaneConns)
	cfg.MaxTenants = positive(cfg.MaxTenants, DefaultMaxTenants)
	cfg.MaxWaiting = positive(cfg.MaxWaiting, DefaultMaxWaiting)
	cfg.MaxAge = positive(cfg.MaxAge, DefaultMaxAge)
	if cfg.MaxIdle == 0 {
		cfg.MaxIdle = DefaultMaxIdle
	}
	if cfg.SlowAcquire == 0 {
		cfg.SlowAcquire = DefaultSlowAcquire
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	p := &Pool{cfg: cfg, drained: make(chan struct{})}
	if _, p.lender = cfg.Connector.(Lender); !p.lender && cfg.Budget != nil {
		p.budget = cfg.Budget
		p.budget.join(p)
	}
	return p
}

func positive[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Shard returns the name of the pool's shard.
func (p *Pool) Shard() string { return p.cfg.Shard }

// Node returns the name of the pool's node.
func (p *Pool) Node() string { return p.cfg.Node }

// open counts the connections that are open, being opened or being closed. p.mu
// is held.
func (p *Pool) open() int { return len(p.idle) + len(p.busy) + p.closing }

// room is how many more connections MaxConns allows. p.mu is held.
func (p *Pool) room() int { return p.cfg.MaxConns - p.open() }

// allows reports whether the owner's cap and the lane leave room for a claim. p.mu
// is held.
func (p *Pool) allows(c Claim) bool {
	return (!c.Lane || p.lane < p.cfg.LaneConns) && (c.Conns <= 0 || p.heldBy(c.Owner) < c.Conns)
}

// heldBy counts the connections that owner uses. p.mu is held.
func (p *Pool) heldBy(owner string) (n int) {
	for _, c := range p.busy {
		if c.owner == owner {
			n++
		}
	}
	return n
}

// hand gives c to a claim. c was idle, or is a place for a new one. p.mu is held.
func (p *Pool) hand(c *Conn, claim Claim) *Conn {
	c.touch(claim.Owner)
	c.lane, c.at = claim.Lane, len(p.busy)
	p.busy = append(p.busy, c)
	if c.lane {
		p.lane++
	}
	return c
}

// leave takes c out of busy. p.mu is held.
func (p *Pool) leave(c *Conn) {
	last := len(p.busy) - 1
	p.busy[c.at] = p.busy[last]
	p.busy[c.at].at = c.at
	p.busy[last] = nil
	p.busy = p.busy[:last]
	if c.lane {
		p.lane--
	}
}

// pick removes the best idle connection for owner: the one that served it
// last, else one that knows it, else the one used last. p.mu is held.
func (p *Pool) pick(owner string) *Conn {
	best := len(p.idle) - 1
	known := -1
	for i := len(p.idle) - 1; i >= 0; i-- {
		if p.idle[i].owner == owner {
			known = i
			break
		}
		if known < 0 && p.idle[i].knows(owner) {
			known = i
		}
	}
	if known >= 0 {
		best = known
	}
	return p.remove(best)
}

// remove takes an idle connection out. p.mu is held.
func (p *Pool) remove(i int) *Conn {
	c := p.idle[i]
	p.idle = append(p.idle[:i], p.idle[i+1:]...)
	return c
}

// serve gives what is idle to those who wait, and places for new connections
// where no Budget has a say. It reports whether somebody still waits for a place
// of the Budget. p.mu is held.
func (p *Pool) serve() (hungry bool) {
	for p.queue.n > 0 && !p.closed && (len(p.idle) > 0 || p.budget == nil && p.room() > 0) {
		w := p.queue.next(p.allows)
		if w == nil {
			return false
		}
		if len(p.idle) > 0 {
			w.ch <- grant{c: p.hand(p.pick(w.claim.Owner), w.claim)}
		} else {
			w.ch <- grant{c: p.hand(p.place(), w.claim)}
		}
	}
	return p.budget != nil && p.queue.n > 0 && p.room() > 0
}

// place returns a connection that is yet to be opened.
func (p *Pool) place() *Conn { return &Conn{pool: p, tenants: map[string]struct{}{}} }
