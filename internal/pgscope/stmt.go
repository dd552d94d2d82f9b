package pgscope

import (
	"context"
	"database/sql/driver"
	"errors"

	"github.com/gormtenancy/gormtenancy/tenant"
)

var errNoContext = errors.New("pgscope: use the method that takes a context")

// stmt is a prepared statement; each execution is scoped by its own context.
type stmt struct {
	c     *Conn
	inner driver.Stmt
	text  string
}

func (s *stmt) Close() error                               { return s.inner.Close() }
func (s *stmt) NumInput() int                              { return s.inner.NumInput() }
func (s *stmt) Exec([]driver.Value) (driver.Result, error) { return nil, errNoContext }
func (s *stmt) Query([]driver.Value) (driver.Rows, error)  { return nil, errNoContext }

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return run(ctx, s.c, s.text, false, func(string) (driver.Result, error) {
		return s.inner.(driver.StmtExecContext).ExecContext(ctx, args)
	})
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return run(ctx, s.c, s.text, false, func(string) (driver.Rows, error) {
		return s.inner.(driver.StmtQueryContext).QueryContext(ctx, args)
	})
}

// tx ends a transaction, unless it was ended or lost already.
type tx struct {
	c     *Conn
	inner driver.Tx
}

func (t *tx) Commit() error   { return t.finish(t.inner.Commit) }
func (t *tx) Rollback() error { return t.finish(t.inner.Rollback) }

func (t *tx) finish(end func() error) error {
	defer t.c.control()()
	t.c.inTx = false
	if t.c.lost != nil {
		return t.c.lost
	}
	if !t.c.wire.open() {
		t.c.wire.taint()
		return tenant.ErrTxEnded
	}
	return end()
}
