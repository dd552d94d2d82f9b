package tenantplugin

import (
	"context"
	"database/sql"
	"fmt"
	"runtime/debug"
	"time"

	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/internal/sqltext"
	"github.com/gormtenancy/gormtenancy/resolver"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Kind is what a statement does.
type Kind string

// The kinds.
const (
	KindRead  Kind = "read"
	KindWrite Kind = "write"
	KindDDL   Kind = "ddl"
	KindOther Kind = "other" // SET, SHOW, EXPLAIN, savepoints and the like
)

// Statement describes one statement that GORM ran.
type Statement struct {
	Tenant   tenant.ID // empty for shared statements and refused ones
	Kind     Kind
	Table    string // as GORM knows it, may be empty for raw SQL
	Duration time.Duration
	Rows     int64 // affected or returned as GORM counts them, -1 where it does not
	Err      error
	Shard    string // empty if it never reached one
	Node     string // "primary", "replica-0", ...
	Replica  bool
}

// Observer is told of every statement that GORM's callbacks run, after it has
// ended, in the goroutine that ran it. BEGIN and COMMIT pass no callback. It must be
// fast and safe for concurrent use. If it panics, that is logged, and the statement's
// result is what it was.
type Observer interface {
	ObserveStatement(ctx context.Context, s Statement)
}

// span is a statement under way.
type span struct {
	parent context.Context
	start  time.Time
	route  *resolver.Route
	kind   Kind
}

type spanKey struct{}

// startSpan begins to time a statement.
func (p *Plugin) startSpan(kind Kind) func(*gorm.DB) {
	return func(db *gorm.DB) {
		s := &span{parent: db.Statement.Context, kind: kind}
		if s.parent == nil {
			return
		}
		if text := db.Statement.SQL.String(); text != "" {
			s.kind = kindOf(text)
		}
		var ctx context.Context
		ctx, s.route = resolver.Trace(s.parent)
		s.start = time.Now()
		db.Statement.Context = context.WithValue(ctx, spanKey{}, s)
	}
}

// endSpan tells the observer and gives the statement its context back.
func (p *Plugin) endSpan(db *gorm.DB) {
	if db.Statement.Context == nil {
		return
	}
	s, ok := db.Statement.Context.Value(spanKey{}).(*span)
	if !ok {
		return
	}
	db.Statement.Context = s.parent
	id, _ := tenant.FromContext(s.parent)
	p.tell(s.parent, Statement{
		Tenant: id, Kind: s.kind, Table: db.Statement.Table, Duration: time.Since(s.start),
		Rows: db.RowsAffected, Err: failure(db),
		Shard: s.route.Shard, Node: s.route.Node, Replica: s.route.Replica,
	})
}

// failure returns a statement's error. A Row keeps its own, until it is scanned.
func failure(db *gorm.DB) error {
	if row, ok := db.Statement.Dest.(*sql.Row); ok && row != nil && db.Error == nil {
		return row.Err()
	}
	return db.Error
}

// tell keeps an observer's panic from the statement, whose result and error
// are the application's: what was committed must not look as if it failed.
func (p *Plugin) tell(ctx context.Context, s Statement) {
	defer func() {
		if cause := recover(); cause != nil {
			p.opts.logger.ErrorContext(ctx, "the observer of statements panicked",
				"tenant", s.Tenant, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
		}
	}()
	p.opts.observer.ObserveStatement(ctx, s)
}

func kindOf(text string) Kind {
	switch sqltext.Of(text).Command() {
	case sqltext.Read:
		return KindRead
	case sqltext.Write:
		return KindWrite
	case sqltext.DDL:
		return KindDDL
	}
	return KindOther
}
