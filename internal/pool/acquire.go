package pool

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Claim says who wants a connection.
type Claim struct {
	// Owner is the tenant that will use it.
	Owner string
	// Conns is how many of the node's connections the owner may use at once. Zero:
	// no bound of its own.
	Conns int
	// Lane is for owners in quarantine, who share Config.LaneConns connections.
	Lane bool
}

// Acquire returns a connection for a claim. It waits while there is none to be had:
// because of MaxConns, the Budget, the owner's cap or the lane. Owners are served in
// turn, one owner's callers in their order. The errors are ErrClosed, *FullError,
// *DownError, the context's, or the connector's.
func (p *Pool) Acquire(ctx context.Context, claim Claim) (*Conn, error) {
	var since time.Time // when it began to wait, or to open
	for {
		c, err := p.take(ctx, claim, &since)
		if err != nil {
			return nil, err
		}
		if c.Session == nil {
			if since.IsZero() {
				since = time.Now()
			}
			err = p.connect(ctx, c)
		} else if c.ResetSession(ctx) != nil {
			p.destroy(c, retiredBroken)
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		p.lend(c, claim.Owner, since)
		return c, nil
	}
}

// lend notes what there is to know of a holding that begins.
func (p *Pool) lend(c *Conn, owner string, since time.Time) {
	c.waited = 0
	if !since.IsZero() {
		now := time.Now()
		c.waited = now.Sub(since)
		if p.cfg.SlowAcquire > 0 && c.waited > p.cfg.SlowAcquire {
			p.warnSlow(owner, c.waited, now)
		}
	}
	if p.cfg.LeakAfter > 0 {
		p.capture(c)
	}
}

// take returns an idle connection, or a place to open one.
func (p *Pool) take(ctx context.Context, claim Claim, since *time.Time) (*Conn, error) {
	p.mu.Lock()
	c, err := p.atOnce(claim)
	if c != nil || err != nil {
		p.mu.Unlock()
		return c, err
	}
	if n := p.queue.waiting(claim.Owner); n >= p.cfg.MaxWaiting {
		p.stats.refused++
		p.mu.Unlock()
		return nil, &FullError{Shard: p.cfg.Shard, Node: p.cfg.Node, Owner: claim.Owner, Waiting: n}
	}
	w := p.queue.add(claim)
	ask := p.budget != nil && p.room() > 0
	if !ask {
		p.stats.waits++
	}
	p.mu.Unlock()
	if since.IsZero() {
		*since = time.Now()
	}
	if ask {
		p.budget.feed(p)
		select {
		case g := <-w.ch:
			return g.c, g.err
		default:
		}
		p.mu.Lock()
		p.stats.waits++
		p.mu.Unlock()
	}
	return p.wait(ctx, w)
}

// atOnce returns what a claim can have without waiting, or nil. p.mu is held.
func (p *Pool) atOnce(claim Claim) (*Conn, error) {
	if p.closed {
		return nil, ErrClosed
	}
	free := p.queue.waiting(claim.Owner) == 0 && p.allows(claim)
	if free && len(p.idle) > 0 {
		return p.hand(p.pick(claim.Owner), claim), nil
	}
	if p.breaker.isOpen() {
		if err := p.down(time.Now()); err != nil {
			return nil, err
		}
	}
	if free && p.budget == nil && p.room() > 0 {
		return p.hand(p.place(), claim), nil
	}
	return nil, nil
}

func (p *Pool) wait(ctx context.Context, w *waiter) (*Conn, error) {
	start := time.Now()
	select {
	case g := <-w.ch:
		p.mu.Lock()
		p.stats.waited += time.Since(start)
		p.mu.Unlock()
		return g.c, g.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	p.queue.remove(w)
	p.stats.waited += time.Since(start)
	p.stats.canceled++
	total := p.open()
	p.mu.Unlock()
	// What was handed over in the meantime belongs to the next one.
	select {
	case g := <-w.ch:
		if g.c != nil && g.c.Session != nil {
			g.c.Release()
		} else if g.c != nil {
			p.forgo(g.c)
		}
	default:
	}
	return nil, fmt.Errorf("wait for a connection to %s/%s (%d open): %w", p.cfg.Shard, p.cfg.Node, total, ctx.Err())
}

// connect opens the connection that c is a place for.
func (p *Pool) connect(ctx context.Context, c *Conn) error {
	start := time.Now()
	p.mu.Lock()
	probe, err := p.begin(start)
	p.mu.Unlock()
	if err != nil {
		p.forgo(c)
		return err
	}
	dc, err := p.cfg.Connector.Connect(ctx)
	if err != nil {
		p.failed(ctx, err, probe, start)
		p.forgo(c)
		return err
	}
	s, ok := dc.(Session)
	p.mu.Lock()
	p.breaker.succeeded()
	if ok {
		c.Session, c.created = s, time.Now()
		p.stats.opened++
	}
	p.mu.Unlock()
	if !ok {
		err := fmt.Errorf("connector of %s/%s makes %T, which is no pool.Session", p.cfg.Shard, p.cfg.Node, dc)
		err = errors.Join(err, dc.Close())
		p.forgo(c)
		return err
	}
	return nil
}

// failed notes a failed attempt, and tells those who wait if the node is given up.
func (p *Pool) failed(ctx context.Context, err error, probe bool, start time.Time) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.failed++
	if !blames(ctx, err, now.Sub(start)) {
		p.breaker.undecided(probe)
		return
	}
	if p.breaker.failed(now, err, probe) {
		for _, w := range p.queue.drain() {
			w.ch <- grant{err: p.down(now)}
		}
	}
}

// begin begins an attempt, unless the node is given up. p.mu is held.
func (p *Pool) begin(now time.Time) (probe bool, err error) {
	if err := p.down(now); err != nil {
		return false, err
	}
	return p.breaker.begin(), nil
}

// down returns the error of who needs a new connection, if the node is given up. p.mu
// is held.
func (p *Pool) down(now time.Time) error {
	if pause := p.breaker.refuses(now); pause > 0 {
		return &DownError{Shard: p.cfg.Shard, Node: p.cfg.Node, RetryAfter: pause, Err: p.breaker.err}
	}
	return nil
}

// forgo gives back a place that no connection was opened in.
func (p *Pool) forgo(c *Conn) {
	p.mu.Lock()
	p.leave(c)
	p.vacated()
	p.mu.Unlock()
	p.budget.give(p, nil)
}

// vacated serves who waits for the room that there is now. p.mu is held.
func (p *Pool) vacated() {
	p.serve()
	if p.closed && p.open() == 0 {
		close(p.drained)
	}
}
