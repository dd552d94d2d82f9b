package portable

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/gormtenancy/gormtenancy/internal/pgscope"
	"github.com/gormtenancy/gormtenancy/internal/sqltext"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// ScopeSQL sets the path of the current transaction.
const ScopeSQL = "select pg_catalog.set_config('search_path', $1, true)"

// FenceSQL does so for the first statement on a borrowed connection, and the
// first of another owner. It fails if there is anything in the session's temporary
// schema, in which the path would end.
const FenceSQL = "select pg_catalog.set_config('search_path', case when not exists (select from pg_catalog.pg_depend" +
	" where refclassid operator(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass" +
	" and refobjid operator(pg_catalog.=) pg_catalog.pg_my_temp_schema()) then $1 else '\"' end, true)"

var (
	errNoTransaction = errors.New("this command cannot run in a transaction, and this connection pool can scope it in no other way: open GORM with postgres.Open")
	errEnds          = fmt.Errorf("%w: it ends the transaction, and with it the tenant's scope: use GORM's Commit, Rollback or Transaction", tenant.ErrForbidden)
	errLeft          = errors.New("the pool's connections hold temporary objects, which every tenant would find: nothing was executed; drop them in the hook, the function or the trigger that makes them, or open GORM with postgres.Open")
	errHolds         = errors.New("another tenant changed this connection's session: use a connection of its own for each tenant")
)

// Connector makes sessions over a foreign pool.
type Connector struct {
	db     *sql.DB
	scope  func(context.Context) (pgscope.Scope, error)
	suffix string
}

// NewConnector returns a connector over db, which stays the caller's. visible
// are the schemas that follow each tenant's.
func NewConnector(db *sql.DB, scope func(context.Context) (pgscope.Scope, error), visible []string) *Connector {
	var b strings.Builder
	for _, s := range visible {
		b.WriteString(", " + tenant.QuoteIdent(s))
	}
	return &Connector{db, scope, b.String() + ", pg_temp"}
}

// path returns the search_path of a scope.
func (c *Connector) path(scope pgscope.Scope) string {
	if scope.Schema == "" {
		return `""`
	}
	return tenant.QuoteIdent(scope.Schema) + c.suffix
}

// Connect takes a connection of the foreign pool.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	sc, err := c.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &session{c: c, conn: sc}, nil
}

// Lends implements pool.Lender.
func (c *Connector) Lends() {}

// Driver returns the foreign pool's driver.
func (c *Connector) Driver() driver.Driver { return c.db.Driver() }

// session is one connection of the foreign pool.
type session struct {
	c       *Connector
	conn    *sql.Conn
	tx      *sql.Tx // the user's transaction
	served  bool    // a statement was sent, the last one for
	owner   string  // this owner, whose the transaction is
	tainted bool
	doubt   bool // the transaction's path may have been changed
	dead    bool
}

// admit checks a statement and returns its scope.
func (s *session) admit(ctx context.Context, text string) (pgscope.Scope, error) {
	scope, err := s.c.scope(ctx)
	if err == nil && s.tx != nil && scope.Owner != s.owner {
		err = tenant.ErrMismatch
	}
	if err != nil {
		if s.tx != nil {
			s.dead = true
			err = errors.Join(err, s.tx.Rollback())
		}
		return scope, err
	}
	facts := sqltext.Of(text)
	if why := facts.Escape(); why != "" {
		return scope, fmt.Errorf("%w: %s", tenant.ErrForbidden, why)
	}
	switch {
	case facts.NeedsNoTransaction():
		return scope, errNoTransaction
	case facts.EndsTransaction():
		return scope, errEnds
	case s.tainted && s.served && s.owner != scope.Owner:
		return scope, errHolds
	}
	s.tainted = s.tainted || facts.SessionState()
	if s.tx != nil && s.doubt {
		if _, err := s.tx.ExecContext(ctx, ScopeSQL, s.c.path(scope)); err != nil {
			return scope, err
		}
	}
	s.doubt = s.tx != nil && facts.CallsUnknown()
	return scope, nil
}

// maxSwaps bounds how many connections of the foreign pool are given up for one
// transaction.
const maxSwaps = 64

// begin opens a transaction in a scope, on another connection of the foreign pool
// if this one, which serves nobody yet, has temporary objects.
func (s *session) begin(ctx context.Context, scope pgscope.Scope, opts *sql.TxOptions) (*sql.Tx, error) {
	for swaps := 0; ; swaps++ {
		tx, err := s.try(ctx, scope, opts)
		switch {
		case !errors.Is(err, errLeft):
			return tx, err
		case s.served:
			return nil, errHolds
		case swaps == maxSwaps:
			return nil, err
		}
		if err := s.swap(ctx); err != nil {
			return nil, err
		}
	}
}

// swap has the foreign pool close the session's connection, and takes another one.
func (s *session) swap(ctx context.Context) error {
	_ = s.Close() // tainted: it answers what it was told
	conn, err := s.c.db.Conn(ctx)
	if err != nil {
		return err
	}
	s.conn, s.dead, s.tainted = conn, false, false
	return nil
}

// try opens a transaction in a scope on the session's connection.
func (s *session) try(ctx context.Context, scope pgscope.Scope, opts *sql.TxOptions) (*sql.Tx, error) {
	tx, err := s.conn.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	text := ScopeSQL
	if !s.served || s.owner != scope.Owner {
		text = FenceSQL
	}
	if _, err := tx.ExecContext(ctx, text, s.c.path(scope)); err != nil {
		s.dead, s.tainted = true, true
		if text == FenceSQL && isUnclean(err) {
			return nil, errors.Join(errLeft, tx.Rollback())
		}
		return nil, errors.Join(err, tx.Rollback())
	}
	s.served, s.owner, s.doubt = true, scope.Owner, false
	return tx, nil
}

// isUnclean reports whether err is the fence's (invalid_parameter_value), where
// the driver tells.
func isUnclean(err error) bool {
	var state interface{ SQLState() string }
	return errors.As(err, &state) && state.SQLState() == "22023"
}

func (s *session) ExecContext(ctx context.Context, text string, named []driver.NamedValue) (driver.Result, error) {
	scope, err := s.admit(ctx, text)
	if err != nil {
		return nil, err
	}
	if s.tx != nil {
		return s.tx.ExecContext(ctx, text, values(named)...)
	}
	tx, err := s.begin(ctx, scope, nil)
	if err != nil {
		return nil, err
	}
	res, err := tx.ExecContext(ctx, text, values(named)...)
	if err != nil {
		return nil, withRollback(err, tx)
	}
	return res, tx.Commit()
}

func (s *session) QueryContext(ctx context.Context, text string, named []driver.NamedValue) (driver.Rows, error) {
	scope, err := s.admit(ctx, text)
	if err != nil {
		return nil, err
	}
	tx := s.tx
	if tx == nil {
		if tx, err = s.begin(ctx, scope, nil); err != nil {
			return nil, err
		}
	}
	rs, err := tx.QueryContext(ctx, text, values(named)...)
	if err == nil {
		var out *rows
		if out, err = newRows(rs); err == nil {
			if s.tx == nil {
				out.end = tx.Commit
			}
			return out, nil
		}
	}
	if s.tx == nil {
		err = withRollback(err, tx)
	}
	return nil, err
}

// withRollback keeps err as it is (error translators look at its type), and
// adds the roll-back's error only if there is one.
func withRollback(err error, tx *sql.Tx) error {
	if rb := tx.Rollback(); rb != nil && !errors.Is(rb, sql.ErrTxDone) {
		return errors.Join(err, rb)
	}
	return err
}

func (s *session) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	scope, err := s.admit(ctx, "")
	if err != nil {
		return nil, err
	}
	tx, err := s.begin(ctx, scope, &sql.TxOptions{
		Isolation: sql.IsolationLevel(opts.Isolation), ReadOnly: opts.ReadOnly,
	})
	if err != nil {
		return nil, err
	}
	s.tx = tx
	return &ending{s}, nil
}

// ending ends the session's transaction.
type ending struct{ s *session }

func (e *ending) Commit() error   { return e.finish((*sql.Tx).Commit) }
func (e *ending) Rollback() error { return e.finish((*sql.Tx).Rollback) }

func (e *ending) finish(end func(*sql.Tx) error) error {
	tx := e.s.tx
	e.s.tx = nil
	return end(tx)
}

func (s *session) Prepare(string) (driver.Stmt, error) { return nil, tenant.ErrNone }
func (s *session) Begin() (driver.Tx, error)           { return nil, tenant.ErrNone }
func (s *session) Ping(ctx context.Context) error      { return s.conn.PingContext(ctx) }
func (s *session) InTx() bool                          { return s.tx != nil }
func (s *session) IsValid() bool                       { return !s.dead && !s.tainted && s.tx == nil }

func (s *session) ResetSession(context.Context) error {
	if !s.IsValid() {
		return driver.ErrBadConn
	}
	return nil
}

// Close gives the connection back to the foreign pool, or has it closed if its
// session was changed.
func (s *session) Close() error {
	if s.tainted {
		_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
		return nil
	}
	return s.conn.Close()
}

func values(named []driver.NamedValue) []any {
	out := make([]any, len(named))
	for i, v := range named {
		out[i] = v.Value
	}
	return out
}
