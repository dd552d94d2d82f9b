package resolver

import (
	"context"
	"database/sql"

	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/internal/sqltext"
)

// Pool is the gorm.ConnPool over the handle. GORM's own statements fail here
// without a tenant; what the application runs on the handle itself is its
// own affair, and finds no tenant's table.
type Pool struct {
	db     *sql.DB
	router *Router
	read   bool // statements may run on replicas
	trust  bool // the application said that they only read
}

var (
	_ gorm.ConnPool         = (*Pool)(nil)
	_ gorm.ConnPoolBeginner = (*Pool)(nil)
	_ gorm.GetDBConnector   = (*Pool)(nil)
)

// Pools are the three ConnPools over one handle.
type Pools struct {
	Primary *Pool // everything on the primary
	Read    *Pool // what provably only reads on replicas
	Trusted *Pool // everything on replicas, because dbresolver.Read says so
}

// NewPools returns the ConnPools over the handle of router.
func NewPools(handle *sql.DB, router *Router) Pools {
	router.handle.Store(handle)
	return Pools{
		Primary: &Pool{db: handle, router: router},
		Read:    &Pool{db: handle, router: router, read: true},
		Trusted: &Pool{db: handle, router: router, read: true, trust: true},
	}
}

// GetDBConn returns the handle, for db.DB().
func (p *Pool) GetDBConn() (*sql.DB, error) { return p.db, nil }

// Router returns the router beneath.
func (p *Pool) Router() *Router { return p.router }

// Ping checks the home shard, as gorm.Open does.
func (p *Pool) Ping() error { return p.db.Ping() }

// orEmpty returns ctx, or in place of nil one that has no tenant.
func orEmpty(ctx context.Context) context.Context {
	if ctx == nil {
		return context.TODO()
	}
	return ctx
}

// reads reports whether text may run on a replica.
func (p *Pool) reads(text string) bool {
	return p.read && (p.trust || sqltext.Of(text).ReadOnly())
}

// context returns the context in which text runs: marked as a read, or as
// failed.
func (p *Pool) context(ctx context.Context, text string) (context.Context, error) {
	ctx = orEmpty(ctx)
	if c := callOf(ctx); c != nil && c.fail != nil {
		return ctx, c.fail
	}
	if err := p.router.Admit(ctx); err != nil {
		return Refuse(ctx, err), err
	}
	if p.reads(text) {
		return &call{Context: ctx, read: true}, nil
	}
	return ctx, nil
}

// PrepareContext prepares text, whoever the tenant is: GORM keeps the
// statement for all of them. Its executions are scoped each by itself, and
// routed by the text: which Pool happened to be asked first says nothing.
func (p *Pool) PrepareContext(ctx context.Context, text string) (*sql.Stmt, error) {
	mark := gormMark
	if sqltext.Of(text).ReadOnly() {
		mark = readMark
	}
	return p.db.PrepareContext(ctx, mark+text)
}

// ExecContext implements gorm.ConnPool.
func (p *Pool) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	ctx, err := p.context(ctx, text)
	if err != nil {
		return nil, err
	}
	return p.db.ExecContext(ctx, text, args...)
}

// QueryContext implements gorm.ConnPool.
func (p *Pool) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	ctx, err := p.context(ctx, text)
	if err != nil {
		return nil, err
	}
	return p.db.QueryContext(ctx, text, args...)
}

// QueryRowContext implements gorm.ConnPool. A sql.Row can carry an error only
// if it comes out of the driver, so a failed context goes all the way down.
func (p *Pool) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	ctx, _ = p.context(ctx, text)
	return p.db.QueryRowContext(ctx, text, args...)
}

// BeginTx begins a transaction, on the primary unless it is read only.
func (p *Pool) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	if err := p.router.Admit(ctx); err != nil {
		return nil, err
	}
	if p.read && opts != nil && opts.ReadOnly {
		ctx = &call{Context: ctx, read: true}
	}
	tx, err := p.db.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return tx, nil
}
