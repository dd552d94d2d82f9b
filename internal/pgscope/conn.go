package pgscope

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Conn is pgx's stdlib connection, with each statement scoped by its context.
// Like every driver.Conn it serves one goroutine at a time.
type Conn struct {
	std  *stdlib.Conn
	wire *wire
	cfg  *Config
	hot  hot
	inTx bool  // between BeginTx and the end of the transaction
	txs  int64 // transactions that were begun
	lost error // why the connection was closed from here
}

var (
	_ driver.Conn               = (*Conn)(nil)
	_ driver.ConnPrepareContext = (*Conn)(nil)
	_ driver.ConnBeginTx        = (*Conn)(nil)
	_ driver.ExecerContext      = (*Conn)(nil)
	_ driver.QueryerContext     = (*Conn)(nil)
	_ driver.Pinger             = (*Conn)(nil)
	_ driver.SessionResetter    = (*Conn)(nil)
	_ driver.Validator          = (*Conn)(nil)
	_ driver.NamedValueChecker  = (*Conn)(nil)
)

// Conn returns the pgx connection, for what database/sql cannot do (COPY,
// batches). Its calls are scoped by their context too.
func (c *Conn) Conn() *pgx.Conn { return c.std.Conn() }

// enter admits a statement and arms the wire with its scope. Whoever gets no
// error must disarm.
func (c *Conn) enter(ctx context.Context) (Scope, error) {
	if c.lost != nil {
		return Scope{}, c.lost
	}
	s, err := c.cfg.Scope(ctx)
	if err == nil {
		err = c.wire.fits(s)
	}
	if err == nil {
		err = c.wire.check(s.Owner)
	}
	if err != nil {
		return Scope{}, c.reject(err)
	}
	if c.inTx && !c.wire.open() {
		return Scope{}, tenant.ErrTxEnded
	}
	if c.wire.holds(s.Owner) {
		return Scope{}, c.reject(errHolds)
	}
	c.wire.set(armScope, s)
	return s, nil
}

// reject returns the error of a statement without a scope. An open transaction
// is lost with it: half of one may not be committed by somebody who ignores
// the error.
func (c *Conn) reject(err error) error {
	if !c.wire.open() {
		return err
	}
	if errors.Is(err, tenant.ErrMisplaced) {
		err = fmt.Errorf("%w (%w)", tenant.ErrMismatch, err)
	}
	c.abandon(err)
	return err
}

// abandon closes the connection, and with it the open transaction.
func (c *Conn) abandon(why error) {
	c.lost = why
	c.wire.Conn.Close()
	c.std.Close()
}

// ExecContext implements driver.ExecerContext.
func (c *Conn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	// Without arguments, pgx sends a simple query, which has no plan to keep.
	return run(ctx, c, text, len(args) > 0, func(text string) (driver.Result, error) {
		if c.wire.strict && noArguments(args) {
			return c.execAlone(ctx, text)
		}
		return c.std.ExecContext(ctx, text, args)
	})
}

// QueryContext implements driver.QueryerContext.
func (c *Conn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	return run(ctx, c, text, true, func(text string) (driver.Rows, error) {
		return c.std.QueryContext(ctx, text, args)
	})
}

// run executes one statement in the scope of ctx. planned says that the server
// will keep a plan by the statement's text.
func run[T any](ctx context.Context, c *Conn, text string, planned bool, do func(text string) (T, error)) (T, error) {
	var none T
	s, err := c.enter(ctx)
	if err != nil {
		return none, err
	}
	defer c.wire.disarm()
	facts, err := inspect(c.wire, text)
	if err != nil {
		return none, err
	}
	if facts.NeedsNoTransaction() && c.wire.strict {
		return none, errOutside
	}
	if facts.NeedsNoTransaction() && !c.inTx {
		return outside(ctx, c, s, text, do)
	}
	if facts.BeforeSnapshot() {
		if err := c.early(ctx, s); err != nil {
			return none, err
		}
	}
	asked := text
	if planned && c.cfg.keepsPlans() {
		if text = c.hot.text(s, text); s.Volatile && c.inTx {
			text += "/*x" + strconv.FormatInt(c.txs, 10) + "*/"
		}
	}
	res, err := do(text)
	for tries := 1; err != nil && tries < maxTries; tries++ {
		if err = c.mend(ctx, s, err); err != nil {
			break
		}
		res, err = do(text)
	}
	if c.wire.tookUserTypes() {
		c.hot.keepApart(asked)
	}
	if facts.CallsUnknown() {
		c.wire.doubt()
	}
	return res, err
}

// maxTries is how often a statement is sent that the server did not begin.
const maxTries = 4

// stalePlan reports whether a prepared statement's result type is out of date:
// the tenant's tables changed since the plan was made. pgx has dropped the plan
// then, and nothing was executed.
func stalePlan(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "0A000" && strings.Contains(pg.Message, "cached plan")
}

// outside runs a command that refuses to share an implicit transaction with
// the scope (CREATE INDEX CONCURRENTLY, VACUUM). Its path is the session's for
// that long; the connection is not used again.
func outside[T any](ctx context.Context, c *Conn, s Scope, text string, do func(string) (T, error)) (T, error) {
	var none T
	if c.wire.foreign(s.Owner) {
		if err := c.tidy(ctx, s.Owner); err != nil {
			return none, err
		}
	}
	c.wire.taint()
	c.wire.set(armControl, Scope{})
	set := "set search_path to ''"
	if s.Schema != "" {
		set = string(c.wire.path.append([]byte("set search_path to "), s.Schema))
	}
	if s.StatementTimeout > 0 {
		set = string(timeout{"statement_timeout", s.StatementTimeout}.setSession([]byte(set)))
	}
	if _, err := c.std.ExecContext(ctx, set, nil); err != nil {
		return none, err
	}
	res, err := do(text)
	if _, resetErr := c.std.ExecContext(context.WithoutCancel(ctx), "set search_path to ''", nil); resetErr != nil {
		c.abandon(resetErr)
	}
	return res, err
}

// Prepare implements driver.Conn. Without a context there is no tenant.
func (c *Conn) Prepare(string) (driver.Stmt, error) { return nil, tenant.ErrNone }

// PrepareContext prepares text on the server, its names resolved in the scope
// of ctx. Each execution is scoped by its own context.
func (c *Conn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	return run(ctx, c, text, false, func(string) (driver.Stmt, error) {
		st, err := c.std.PrepareContext(ctx, text)
		if err != nil {
			return nil, err
		}
		return &stmt{c, st, text}, nil
	})
}

// Begin implements driver.Conn. Without a context there is no tenant.
func (c *Conn) Begin() (driver.Tx, error) { return nil, tenant.ErrNone }

// BeginTx opens a transaction that belongs to the scope of ctx. Nothing is
// sent before its first statement.
func (c *Conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	s, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer c.wire.disarm()
	c.wire.set(armBegin, s)
	inner, err := c.std.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	c.inTx = true
	c.txs++
	return &tx{c, inner}, nil
}

// Ping implements driver.Pinger.
func (c *Conn) Ping(ctx context.Context) error {
	defer c.control()()
	return c.std.Ping(ctx)
}

// ResetSession implements driver.SessionResetter.
func (c *Conn) ResetSession(ctx context.Context) error {
	if !c.IsValid() {
		return driver.ErrBadConn
	}
	defer c.control()()
	return c.std.ResetSession(ctx)
}

// IsValid implements driver.Validator: false once the connection was closed,
// holds a transaction, or has a session that user SQL changed.
func (c *Conn) IsValid() bool {
	return c.lost == nil && !c.std.Conn().IsClosed() && c.wire.reusable()
}

// RoundTrips returns how often something was sent to the server and answered, or will
// be, since the connection was opened.
func (c *Conn) RoundTrips() uint64 { return c.wire.roundTrips() }

// InTx reports whether a transaction is open, begun or raw.
func (c *Conn) InTx() bool { return c.inTx || c.wire.open() }

// Close closes the connection.
func (c *Conn) Close() error {
	if c.lost != nil {
		return nil
	}
	defer c.control()()
	return c.std.Close()
}

// CheckNamedValue implements driver.NamedValueChecker: pgx takes every type.
func (c *Conn) CheckNamedValue(v *driver.NamedValue) error { return c.std.CheckNamedValue(v) }

// control arms the wire for what belongs to no scope.
func (c *Conn) control() (disarm func()) {
	c.wire.set(armControl, Scope{})
	return c.wire.disarm
}
