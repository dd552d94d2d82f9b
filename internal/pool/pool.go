package pool

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrClosed is returned by Acquire after Close.
var ErrClosed = errors.New("connection pool is closed")

// The limits of a Config whose fields are zero.
const (
	DefaultMaxConns   = 50
	DefaultMaxAge     = 30 * time.Minute
	DefaultMaxTenants = 2500
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

// Lender is a Connector whose connections another pool keeps: they go back there
// as soon as they are released. What idled here would be missing there, and two
// pools of one Lender could wait for each other.
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
	// Connector opens connections that are Sessions. Required.
	Connector driver.Connector
	// MaxConns bounds the open connections. Default DefaultMaxConns.
	MaxConns int
	// MaxAge retires a connection. Default DefaultMaxAge.
	MaxAge time.Duration
	// MaxTenants retires a connection that has served more distinct tenants.
	// Default DefaultMaxTenants.
	MaxTenants int
}

// Pool is the pool of one node.
type Pool struct {
	cfg    Config
	lender bool // cfg.Connector is a Lender

	// mu guards what follows. It is not held while connecting, closing or
	// waiting. A waiter is woken with a connection, or with nil, which passes
	// it the right to open one.
	mu      sync.Mutex
	idle    []*Conn // the last is the one used last
	total   int     // open, opening, or promised to a waiter
	waiters []chan *Conn
	closed  bool
	drained chan struct{} // closed when closed and total is 0
	stats   counters
}

// New returns a pool that has opened nothing yet.
func New(cfg Config) *Pool {
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = DefaultMaxConns
	}
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = DefaultMaxAge
	}
	if cfg.MaxTenants <= 0 {
		cfg.MaxTenants = DefaultMaxTenants
	}
	_, lender := cfg.Connector.(Lender)
	return &Pool{cfg: cfg, lender: lender, drained: make(chan struct{})}
}

// Shard returns the name of the pool's shard.
func (p *Pool) Shard() string { return p.cfg.Shard }

// Node returns the name of the pool's node.
func (p *Pool) Node() string { return p.cfg.Node }

// Acquire returns a connection for owner, the tenant that will use it. It
// waits while MaxConns are in use. The errors are ErrClosed, the context's, or
// the connector's.
func (p *Pool) Acquire(ctx context.Context, owner string) (*Conn, error) {
	for {
		c, err := p.take(ctx, owner)
		if err != nil {
			return nil, err
		}
		if c == nil {
			return p.open(ctx, owner)
		}
		if err := c.ResetSession(ctx); err == nil {
			c.touch(owner)
			return c, nil
		}
		p.destroy(c, retiredBroken)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// take returns an idle connection, or nil with the right to open one.
func (p *Pool) take(ctx context.Context, owner string) (*Conn, error) {
	p.mu.Lock()
	switch {
	case p.closed:
		p.mu.Unlock()
		return nil, ErrClosed
	case len(p.idle) > 0:
		c := p.pick(owner)
		p.mu.Unlock()
		return c, nil
	case p.total < p.cfg.MaxConns:
		p.total++
		p.mu.Unlock()
		return nil, nil
	}
	ch := make(chan *Conn, 1)
	p.waiters = append(p.waiters, ch)
	p.stats.waits++
	p.mu.Unlock()
	return p.wait(ctx, ch)
}

func (p *Pool) wait(ctx context.Context, ch chan *Conn) (*Conn, error) {
	start := time.Now()
	select {
	case c, ok := <-ch:
		p.mu.Lock()
		p.stats.waited += time.Since(start)
		p.mu.Unlock()
		if !ok {
			return nil, ErrClosed
		}
		return c, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	for i, w := range p.waiters {
		if w == ch {
			p.waiters = append(p.waiters[:i], p.waiters[i+1:]...)
			break
		}
	}
	p.stats.waited += time.Since(start)
	p.stats.canceled++
	p.mu.Unlock()
	// What was handed over in the meantime belongs to the next one.
	select {
	case c, ok := <-ch:
		if ok && c != nil {
			c.Release()
		} else if ok {
			p.forgo()
		}
	default:
	}
	return nil, fmt.Errorf("wait for a connection to %s/%s (%d open): %w",
		p.cfg.Shard, p.cfg.Node, p.cfg.MaxConns, ctx.Err())
}

// pick removes the best idle connection for owner: the one that served it
// last, else one that knows it, else the one used last.
func (p *Pool) pick(owner string) *Conn {
	best := len(p.idle) - 1
	known := -1
	for i := len(p.idle) - 1; i >= 0; i-- {
		if p.idle[i].last == owner {
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
	c := p.idle[best]
	p.idle = append(p.idle[:best], p.idle[best+1:]...)
	return c
}

// open connects, with the right to do so.
func (p *Pool) open(ctx context.Context, owner string) (*Conn, error) {
	dc, err := p.cfg.Connector.Connect(ctx)
	if err != nil {
		p.mu.Lock()
		p.stats.failed++
		p.mu.Unlock()
		p.forgo()
		return nil, err
	}
	s, ok := dc.(Session)
	if !ok {
		p.forgo()
		return nil, errors.Join(fmt.Errorf("connector of %s/%s makes %T, which is no pool.Session",
			p.cfg.Shard, p.cfg.Node, dc), dc.Close())
	}
	c := &Conn{Session: s, pool: p, created: time.Now(), tenants: map[string]struct{}{}}
	c.touch(owner)
	p.mu.Lock()
	p.stats.opened++
	p.mu.Unlock()
	return c, nil
}

// forgo gives the right to open a connection to the next waiter, or back.
func (p *Pool) forgo() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiters) > 0 && !p.closed {
		p.wake(nil)
		return
	}
	p.total--
	if p.closed && p.total == 0 {
		close(p.drained)
	}
}

// wake hands c to the waiter that waits longest. p.mu is held.
func (p *Pool) wake(c *Conn) {
	ch := p.waiters[0]
	p.waiters = p.waiters[:copy(p.waiters, p.waiters[1:])]
	ch <- c
}

// put takes a healthy connection back.
func (p *Pool) put(c *Conn) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.destroy(c, retiredClosed)
		return
	}
	if len(p.waiters) > 0 {
		p.wake(c)
	} else {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
}

// destroy closes a connection that is in nobody's hands any more.
func (p *Pool) destroy(c *Conn, why reason) {
	// Its error changes nothing: the connection is gone either way.
	_ = c.Session.Close()
	p.mu.Lock()
	p.stats.retired[why]++
	p.mu.Unlock()
	p.forgo()
}

// Trim closes idle connections until at most keep are open, and one more if
// the oldest idle one was opened before oldest.
func (p *Pool) Trim(keep int, oldest time.Time) {
	p.mu.Lock()
	var out []*Conn
	if i := p.oldestIdle(); i >= 0 && p.idle[i].created.Before(oldest) {
		out = append(out, p.remove(i))
	}
	for p.total-len(out) > keep && len(p.idle) > 0 {
		out = append(out, p.remove(p.oldestIdle()))
	}
	p.mu.Unlock()
	for _, c := range out {
		p.destroy(c, retiredTrimmed)
	}
}

func (p *Pool) oldestIdle() int {
	at := -1
	for i, c := range p.idle {
		if at < 0 || c.created.Before(p.idle[at].created) {
			at = i
		}
	}
	return at
}

func (p *Pool) remove(i int) *Conn {
	c := p.idle[i]
	p.idle = append(p.idle[:i], p.idle[i+1:]...)
	return c
}

// Close closes the idle connections and waits until those in use have come
// back and are closed too. Further calls wait as well.
func (p *Pool) Close() {
	p.mu.Lock()
	var idle []*Conn
	if !p.closed {
		p.closed = true
		idle, p.idle = p.idle, nil
		for _, ch := range p.waiters {
			close(ch)
		}
		p.waiters = nil
		if p.total == 0 {
			close(p.drained)
		}
	}
	p.mu.Unlock()
	for _, c := range idle {
		p.destroy(c, retiredClosed)
	}
	<-p.drained
}
