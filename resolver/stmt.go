package resolver

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/gormtenancy/gormtenancy/internal/pool"
)

// The marks begin the text of statements that a Pool prepared for GORM.
// database/sql prepares them again on other virtual connections, by text alone.
const (
	gormMark = "/*gormtenancy:gorm*/"
	readMark = "/*gormtenancy:read*/"
)

// stmt is a prepared statement of a virtual connection: a text that asks the
// driver below to prepare it on the connection where it runs.
type stmt struct {
	c    *conn
	text string
	gorm bool // GORM's: needs a tenant
	read bool // may run on a replica
}

func newStmt(c *conn, text string) *stmt {
	if rest, ok := strings.CutPrefix(text, readMark); ok {
		return &stmt{c: c, text: rest, gorm: true, read: true}
	}
	rest, ok := strings.CutPrefix(text, gormMark)
	return &stmt{c: c, text: rest, gorm: ok}
}

var errNoContext = errors.New("resolver: use the method that takes a context")

func (s *stmt) Close() error                               { return nil }
func (s *stmt) NumInput() int                              { return -1 } // the server counts
func (s *stmt) Exec([]driver.Value) (driver.Result, error) { return nil, errNoContext }
func (s *stmt) Query([]driver.Value) (driver.Rows, error)  { return nil, errNoContext }

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	args = s.prepared(args)
	return run(s.context(ctx), s.c, s.text, func(p *pool.Conn) (driver.Result, error) {
		return p.ExecContext(ctx, s.text, args)
	})
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	args = s.prepared(args)
	return s.c.bound(run(s.context(ctx), s.c, s.text, func(p *pool.Conn) (driver.Rows, error) {
		return p.QueryContext(ctx, s.text, args)
	}))
}

func (s *stmt) context(ctx context.Context) context.Context {
	if !s.gorm || callOf(ctx) != nil {
		return ctx
	}
	if !s.c.inTx {
		if err := s.c.r.Admit(ctx); err != nil {
			return &call{Context: ctx, fail: err}
		}
	}
	if s.read {
		return &call{Context: ctx, read: true}
	}
	return ctx
}

// prepared puts the driver's wish to prepare before the arguments, unless the
// caller chose a mode.
func (s *stmt) prepared(args []driver.NamedValue) []driver.NamedValue {
	mode := s.c.r.cfg.Prepared
	if mode == nil || len(args) > 0 && sameType(args[0].Value, mode) {
		return args
	}
	with := make([]driver.NamedValue, 0, len(args)+1)
	with = append(with, driver.NamedValue{Ordinal: 1, Value: mode})
	for _, a := range args {
		a.Ordinal++
		with = append(with, a)
	}
	return with
}
