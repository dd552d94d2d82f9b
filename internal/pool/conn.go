package pool

import "time"

// Conn is a connection in use. Release gives it back; it must not be used
// afterwards.
type Conn struct {
	Session
	pool    *Pool
	created time.Time
	tenants map[string]struct{} // all that it has served
	last    string              // the one it served last
}

// Pool returns the pool that the connection belongs to.
func (c *Conn) Pool() *Pool { return c.pool }

// Touch notes that the connection now serves owner.
func (c *Conn) Touch(owner string) { c.touch(owner) }

func (c *Conn) touch(owner string) {
	if c.last == owner && len(c.tenants) > 0 {
		return
	}
	c.last = owner
	c.tenants[owner] = struct{}{}
}

func (c *Conn) knows(owner string) bool {
	_, ok := c.tenants[owner]
	return ok
}

// Release gives the connection back, or closes it if it may not be used again.
func (c *Conn) Release() {
	switch {
	case !c.IsValid():
		c.pool.destroy(c, retiredBroken)
	case c.pool.lender:
		c.pool.destroy(c, retiredLent)
	case time.Since(c.created) > c.pool.cfg.MaxAge:
		c.pool.destroy(c, retiredAge)
	case len(c.tenants) > c.pool.cfg.MaxTenants:
		c.pool.destroy(c, retiredTenants)
	default:
		c.pool.put(c)
	}
}
