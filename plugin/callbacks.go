package tenantplugin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/resolver"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	startCallback = "gormtenancy:start"
	endCallback   = "gormtenancy:end"
	stillCallback = "gormtenancy:still"
	usingClause   = "gorm:db_resolver:using"
	readSetting   = "gorm:db_resolver:read"
	writeSetting  = "gorm:db_resolver:write"
)

// errUse answers dbresolver.Use.
var errUse = errors.New("tenantplugin: dbresolver.Use is not supported: the tenant in the context decides on the shard")

// register puts our checks around dbresolver's choice of a pool, and the
// observer around everything.
func (p *Plugin) register(db *gorm.DB) error {
	cb := db.Callback()
	for _, get := range []func(string) func(*gorm.DB){
		cb.Create().Get, cb.Query().Get, cb.Update().Get, cb.Delete().Get, cb.Raw().Get, cb.Row().Get,
	} {
		if get(resolverName) == nil {
			return errors.New("tenantplugin: dbresolver's callbacks are missing: another plugin removed them")
		}
	}
	// Before("*") again: GORM takes the last callback of a name in its own
	// order, in which those before all others come last.
	err := errors.Join(
		cb.Create().Before("*").Replace(resolverName, p.choose(cb.Create().Get(resolverName), early)),
		cb.Query().Before("*").Replace(resolverName, p.choose(cb.Query().Get(resolverName), pooled)),
		cb.Update().Before("*").Replace(resolverName, p.choose(cb.Update().Get(resolverName), early)),
		cb.Delete().Before("*").Replace(resolverName, p.choose(cb.Delete().Get(resolverName), early)),
		cb.Raw().Before("*").Replace(resolverName, p.choose(cb.Raw().Get(resolverName), early)),
		cb.Row().Before("*").Replace(resolverName, p.choose(cb.Row().Get(resolverName), below)),
		cb.Create().After("gorm:before_create").Before("gorm:create").Register(stillCallback, still),
		cb.Update().After("gorm:before_update").Before("gorm:update").Register(stillCallback, still),
		cb.Delete().After("gorm:before_delete").Before("gorm:delete").Register(stillCallback, still),
	)
	if err == nil && (p.opts.observer != nil || p.opts.collector != nil) {
		err = p.observe(db)
	}
	return err
}

func (p *Plugin) observe(db *gorm.DB) error {
	cb := db.Callback()
	return errors.Join(
		cb.Create().Before("*").Register(startCallback, p.startSpan(KindWrite)),
		cb.Query().Before("*").Register(startCallback, p.startSpan(KindRead)),
		cb.Update().Before("*").Register(startCallback, p.startSpan(KindWrite)),
		cb.Delete().Before("*").Register(startCallback, p.startSpan(KindWrite)),
		cb.Row().Before("*").Register(startCallback, p.startSpan(KindRead)),
		cb.Raw().Before("*").Register(startCallback, p.startSpan(KindOther)),
		cb.Create().After("*").Register(endCallback, p.endSpan),
		cb.Query().After("*").Register(endCallback, p.endSpan),
		cb.Update().After("*").Register(endCallback, p.endSpan),
		cb.Delete().After("*").Register(endCallback, p.endSpan),
		cb.Row().After("*").Register(endCallback, p.endSpan),
		cb.Raw().After("*").Register(endCallback, p.endSpan),
	)
}

// admission says where a statement is refused that has no usable tenant. The
// connection refuses it in any case.
type admission int

const (
	early  admission = iota // in the callback, before hooks run
	pooled                  // in the Pool, or in the callback where that is bypassed (db.Connection)
	below                   // in the connection: GORM's Row cannot carry an error of a callback
)

// choose wraps dbresolver's choice of a pool. Inside a transaction the
// connection has to see each attempt of another tenant, which costs the
// transaction: only what is named is refused here.
func (p *Plugin) choose(next func(*gorm.DB), when admission) func(*gorm.DB) {
	return func(db *gorm.DB) {
		st := db.Statement
		if len(st.BuildClauses) == 0 {
			p.prefer(db, next)
			return
		}
		if err := p.refused(st); err != nil && p.fail(db, err, when) {
			return
		}
		switch st.ConnPool.(type) {
		case gorm.TxCommitter:
			return
		case *sql.Conn: // db.Connection: dbresolver would replace it
			p.admit(db, when)
			return
		}
		if when == early && !p.admit(db, when) {
			return
		}
		if when == early && db.SkipDefaultTransaction {
			st.Settings.Store(stillCallback, whose(st.Context))
		}
		p.pick(db, next)
	}
}

// still refuses a statement whose hook has changed the tenant. A transaction
// would refuse it; where there is none, this is what notices.
func still(db *gorm.DB) {
	before, ok := db.Statement.Settings.Load(stillCallback)
	if ok && before != whose(db.Statement.Context) {
		db.AddError(fmt.Errorf("%w: a hook changed the context", tenant.ErrMismatch))
	}
}

// owner is who a context says that a statement is for.
type owner struct {
	id     tenant.ID
	shared bool
}

func whose(ctx context.Context) owner {
	id, _ := tenant.FromContext(ctx) // who has none is refused elsewhere
	return owner{id, tenant.IsShared(ctx)}
}

// prefer is for dbresolver's clauses, which call the query's callback while
// there is no statement yet, so that a Begin finds the pool. An error here
// would be reported twice, make Row nil, and lose the transaction that Begin
// opens nevertheless.
func (p *Plugin) prefer(db *gorm.DB, next func(*gorm.DB)) {
	switch db.Statement.ConnPool.(type) {
	case gorm.TxCommitter, *sql.Conn:
		return
	}
	if _, ok := db.Statement.Clauses[usingClause]; ok {
		db.Statement.ConnPool = noBegin{p.pools.Primary}
		return
	}
	p.pick(db, next)
}

// noBegin is the pool of dbresolver.Use: the statements are refused by their
// callbacks, a transaction has none.
type noBegin struct{ *resolver.Pool }

// BeginTx implements gorm.ConnPoolBeginner.
func (noBegin) BeginTx(context.Context, *sql.TxOptions) (gorm.ConnPool, error) { return nil, errUse }

// pick lets dbresolver choose one of our pools.
func (p *Plugin) pick(db *gorm.DB, next func(*gorm.DB)) {
	next(db)
	st := db.Statement
	if _, ok := st.Settings.Load(readSetting); ok && st.ConnPool == gorm.ConnPool(p.pools.Read) {
		st.ConnPool = p.pools.Trusted
	}
	oneStore(db)
}

// oneStore keeps GORM's own store of prepared statements in use where
// dbresolver chose one of its. A text runs on a replica or the primary by what
// it says, whoever prepared it; only dbresolver.Write has to be passed on.
func oneStore(db *gorm.DB) {
	chosen, ok := db.Statement.ConnPool.(*gorm.PreparedStmtDB)
	if !ok {
		return
	}
	own, ok := db.ConnPool.(*gorm.PreparedStmtDB)
	if !ok {
		return
	}
	if _, ok := db.Statement.Settings.Load(writeSetting); ok {
		db.Statement.Context = resolver.Primary(db.Statement.Context)
	}
	db.Statement.ConnPool = &gorm.PreparedStmtDB{ConnPool: chosen.ConnPool, Mux: own.Mux, Stmts: own.Stmts}
}

// admit reports whether a statement may run, and refuses it if not. One that is
// only built needs no tenant.
func (p *Plugin) admit(db *gorm.DB, when admission) bool {
	if db.DryRun {
		return true
	}
	err := p.router.Admit(db.Statement.Context)
	if err != nil {
		refuse(db, err, when)
	}
	return err == nil
}

// fail fails a statement that names what it may not, and reports whether that is
// all there is to do. One that is only built is not sent, and may name anything;
// but a subquery becomes a part of a statement that does not hear of its error,
// which therefore fails in the server.
func (p *Plugin) fail(db *gorm.DB, err error, when admission) bool {
	switch {
	case !db.DryRun:
		refuse(db, err, when)
		return when != below
	case when == pooled && db.Logger == logger.Discard: // how GORM builds a subquery (gorm.Statement.AddVar)
		db.Statement.SQL.WriteString("SELECT " + tenant.QuoteIdent(err.Error()))
	}
	return false
}

// refuse fails a statement.
func refuse(db *gorm.DB, err error, when admission) {
	if when == below {
		db.Statement.Context = resolver.Refuse(db.Statement.Context, err)
		return
	}
	db.AddError(err)
}
