package resolver

import (
	"context"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
	"github.com/gormtenancy/gormtenancy/internal/sqltext"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// conn is a virtual connection. It holds a real one from the first statement
// until database/sql takes the virtual one back (IsValid).
type conn struct {
	r       *Router
	created time.Time
	held    *pool.Conn
	at      *shard // of held
	inTx    bool
	wrote   where // of the last write, which ends when its rows are closed
	governed
}

var (
	_ driver.ConnPrepareContext = (*conn)(nil)
	_ driver.ConnBeginTx        = (*conn)(nil)
	_ driver.ExecerContext      = (*conn)(nil)
	_ driver.QueryerContext     = (*conn)(nil)
	_ driver.Pinger             = (*conn)(nil)
	_ driver.Validator          = (*conn)(nil)
	_ driver.SessionResetter    = (*conn)(nil)
	_ driver.NamedValueChecker  = (*conn)(nil)
)

// errInTx refuses a second transaction beside the open one.
var errInTx = errors.New("resolver: a transaction is open on this connection: end it first, or use it")

// attempts bounds how many connections a statement tries that turn out to be
// dead before anything was sent.
const attempts = 3

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	return run(ctx, c, text, func(s *pool.Conn) (driver.Result, error) {
		return s.ExecContext(ctx, text, args)
	})
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	return c.bound(run(ctx, c, text, func(s *pool.Conn) (driver.Rows, error) {
		return s.QueryContext(ctx, text, args)
	}))
}

// run executes one statement where its context says.
func run[T any](ctx context.Context, c *conn, text string, do func(*pool.Conn) (T, error)) (T, error) {
	ctx, m := c.r.measure(ctx)
	res, err := route(ctx, c, text, do)
	m.tell(c.r, text, res, err)
	return res, err
}

// route executes one statement where its context says.
func route[T any](ctx context.Context, c *conn, text string, do func(*pool.Conn) (T, error)) (T, error) {
	read := false
	if call := callOf(ctx); call != nil {
		if call.fail != nil {
			var none T
			return none, call.fail
		}
		read = call.read
	}
	if c.inTx {
		if c.held == nil {
			var none T
			return none, tenant.ErrTxEnded
		}
		if err := c.admit(ctx, text); err != nil {
			var none T
			return none, err
		}
		return send(ctx, c, do)
	}
	w, err := c.locate(ctx)
	if err == nil {
		err = c.admit(ctx, text)
	}
	if err != nil {
		var none T
		return none, err
	}
	res, err := perform(ctx, c, &w, read, do)
	if !sqltext.Of(text).ReadOnly() && (c.held == nil || c.held.Pool() == w.shard.primary) {
		c.r.wrote(w)
		c.wrote = w
	}
	return res, err
}

// perform runs do on a connection of the shard: on a replica if it may, on the
// primary if the replica fails, and on the shard's new pools, which w is then,
// if it was changed while the statement waited for a connection.
func perform[T any](ctx context.Context, c *conn, w *where, read bool, do func(*pool.Conn) (T, error)) (T, error) {
	written := false // by a text that looked as if it read
	asked := read
	for tries := 1; ; tries++ {
		var from *replica
		if read && !wantsPrimary(ctx) {
			from = w.shard.reader(w.owner)
		}
		if from == nil {
			if err := c.offPrimary(w, asked && !written); err != nil {
				var none T
				return none, err
			}
		}
		fresh, err := c.hold(ctx, *w, from)
		var res T
		if err == nil {
			res, err = send(ctx, c, do)
		}
		switch {
		case err == nil:
			if written {
				c.r.wrote(*w)
			}
			return res, nil
		case from != nil && roleless(err):
			read = false
			c.release()
		case from != nil && ctx.Err() == nil && replicaFault(err):
			from.avoid()
			read = false
			c.release()
		case from != nil && refusedByReplica(err):
			read, written = false, true
			c.release()
		case fresh && errors.Is(err, driver.ErrBadConn) && tries < attempts:
			c.release()
		case errors.Is(err, pool.ErrClosed) && tries < attempts && c.relocate(ctx, w):
		default:
			return res, err
		}
	}
}

// relocate looks again where ctx's statements run, and reports whether w is
// another place than before.
func (c *conn) relocate(ctx context.Context, w *where) bool {
	next, err := c.locate(ctx)
	if err != nil || next.shard == w.shard {
		return false
	}
	*w = next
	return true
}

// hold makes c.held a connection of the wanted node. fresh reports whether it
// was taken from the pool just now, so that nobody relies on its session yet.
func (c *conn) hold(ctx context.Context, w where, from *replica) (fresh bool, err error) {
	target := w.shard.primary
	if from != nil {
		target = from.Pool
	}
	if c.held != nil {
		if c.held.Pool() == target {
			if err := c.enter(ctx); err != nil {
				return false, err
			}
			c.held.Touch(w.owner)
			return false, nil
		}
		if c.held.InTx() {
			c.release()
			return false, tenant.ErrMismatch
		}
		c.release()
	}
	if err := c.enter(ctx); err != nil {
		return false, err
	}
	held, err := c.acquire(ctx, target, w)
	if err != nil {
		c.leave()
		return false, err
	}
	c.held, c.at = held, w.shard
	return true, nil
}

// acquire takes a connection of a pool, and tells the context's Spans of the wait.
func (c *conn) acquire(ctx context.Context, from *pool.Pool, w where) (*pool.Conn, error) {
	claim := c.claim(w.owner)
	s := spanOf(ctx)
	if s == nil {
		return from.Acquire(ctx, claim)
	}
	start := time.Now()
	defer func() { s.waited(time.Since(start)) }()
	return from.Acquire(ctx, claim)
}

func (c *conn) release() {
	if c.held != nil {
		c.held.Release()
		c.held, c.at = nil, nil
		c.leave()
	}
}

// send runs do on the connection at hand, and tells the context's Spans.
func send[T any](ctx context.Context, c *conn, do func(*pool.Conn) (T, error)) (T, error) {
	defer c.spending()()
	s := spanOf(ctx)
	if s == nil {
		return do(c.held)
	}
	p := c.held.Pool()
	s.ran(Route{Shard: p.Shard(), Node: p.Node(), Replica: p != c.at.primary})
	before := tripsOf(c.held)
	res, err := do(c.held)
	s.asked(tripsOf(c.held) - before)
	return res, err
}

// PrepareContext returns a statement that is prepared where and when it runs:
// one text may belong to many tenants on many shards. It never fails.
func (c *conn) PrepareContext(_ context.Context, text string) (driver.Stmt, error) {
	return newStmt(c, text), nil
}

// Prepare implements driver.Conn.
func (c *conn) Prepare(text string) (driver.Stmt, error) { return newStmt(c, text), nil }

// Begin implements driver.Conn. Without a context there is no tenant.
func (c *conn) Begin() (driver.Tx, error) { return nil, tenant.ErrNone }

// BeginTx begins a transaction on the tenant's primary, or on a replica if
// it is read only and the reading Pool asked for it.
func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	call := callOf(ctx)
	if call != nil && call.fail != nil {
		return nil, call.fail
	}
	if c.inTx {
		return nil, errInTx
	}
	w, err := c.locate(ctx)
	if err != nil {
		return nil, err
	}
	outer := ctx
	ctx, m := c.r.measure(outer)
	read := opts.ReadOnly && call != nil && call.read
	inner, err := perform(ctx, c, &w, read, func(s *pool.Conn) (driver.Tx, error) {
		return s.BeginTx(outer, opts)
	})
	if err != nil {
		return nil, err
	}
	c.inTx = true
	id, _ := tenant.FromContext(ctx)
	t := &tx{c: c, inner: inner, w: w, readOnly: opts.ReadOnly, id: id, span: spanOf(ctx)}
	if m != nil {
		m.End()
		t.wait = m.Wait
	}
	return t, nil
}

// tx ends a transaction of a virtual connection.
type tx struct {
	c        *conn
	inner    driver.Tx
	w        where
	readOnly bool
	id       tenant.ID
	span     *Span         // in which it was begun
	wait     time.Duration // for its connection, where no Span accounts for it
}

func (t *tx) Commit() error {
	err := t.finish(t.inner.Commit)
	if !t.readOnly {
		t.c.r.wrote(t.w)
	}
	return err
}

func (t *tx) Rollback() error { return t.finish(t.inner.Rollback) }

// Ping pings the shard of ctx's tenant, without one the home shard.
func (c *conn) Ping(ctx context.Context) error {
	if c.inTx {
		if c.held == nil {
			return tenant.ErrTxEnded
		}
		return c.held.Ping(ctx)
	}
	w, err := c.locate(ctx)
	if err != nil {
		return err
	}
	_, err = perform(ctx, c, &w, false, func(s *pool.Conn) (struct{}, error) {
		return struct{}{}, s.Ping(ctx)
	})
	return err
}

// CheckNamedValue passes every argument on: the real driver judges it.
func (c *conn) CheckNamedValue(*driver.NamedValue) error { return nil }

// ResetSession implements driver.SessionResetter. A virtual connection has no
// session between two holders.
func (c *conn) ResetSession(context.Context) error { return nil }

// IsValid implements driver.Validator. database/sql asks when it takes the
// connection back: the moment to let go of the real one.
func (c *conn) IsValid() bool {
	c.release()
	c.inTx = false
	if c.wrote.shard != nil {
		c.r.wrote(c.wrote)
		c.wrote = where{}
	}
	return true
}

// Close implements driver.Conn.
func (c *conn) Close() error {
	c.release()
	c.r.virtual.Add(-1)
	go c.r.retire(c.created) // the handle may hold its lock, which retire needs
	return nil
}
