package pool

import (
	"context"
	"database/sql/driver"
	"time"
)

// Conn is a connection in use. Release gives it back; it must not be used
// afterwards.
type Conn struct {
	Session // nil: yet to be opened
	pool    *Pool
	created time.Time
	waited  time.Duration
	held    *holding // with Config.LeakAfter

	// The Pool's lock guards what follows. The holder alone writes owner and
	// tenants, so it reads them without.
	owner   string              // whom it serves, or served last
	tenants map[string]struct{} // all that it has served
	lane    bool                // it counts for the lane
	at      int                 // in busy
	rested  time.Time           // since when it is idle
	feeds   *Pool               // for which a Budget closes it
}

// Pool returns the pool that the connection belongs to.
func (c *Conn) Pool() *Pool { return c.pool }

// Waited returns how long the Acquire that returned c waited for a place and opened
// the connection. It is 0 if there was an idle one.
func (c *Conn) Waited() time.Duration { return c.waited }

// Touch notes that the connection now serves owner.
func (c *Conn) Touch(owner string) {
	if c.owner == owner {
		return
	}
	c.pool.mu.Lock()
	c.touch(owner)
	hungry := c.pool.serve() // the former one may be beneath its cap
	c.pool.mu.Unlock()
	c.pool.budget.feedIf(hungry, c.pool)
}

func (c *Conn) touch(owner string) {
	if c.owner == owner && len(c.tenants) > 0 {
		return
	}
	c.owner = owner
	c.tenants[owner] = struct{}{}
}

func (c *Conn) knows(owner string) bool {
	_, ok := c.tenants[owner]
	return ok
}

// BeginTx begins a transaction.
func (c *Conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Session.BeginTx(ctx, opts)
	if err != nil || c.held == nil {
		return tx, err
	}
	c.held.inTx.Store(true)
	return &heldTx{tx, c.held}, nil
}

// Release gives the connection back, or closes it if it may not be used again.
func (c *Conn) Release() {
	p, now := c.pool, time.Now()
	switch {
	case !c.IsValid():
		p.destroy(c, retiredBroken)
	case p.lender:
		p.destroy(c, retiredLent)
	case now.Sub(c.created) > p.cfg.MaxAge:
		p.destroy(c, retiredAge)
	case len(c.tenants) > p.cfg.MaxTenants:
		p.destroy(c, retiredTenants)
	case p.budget.claims(c, now):
		p.destroy(c, retiredBudget)
	default:
		p.put(c, now)
	}
}
