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
	// Text is the SQL as it was sent, empty if it never came to that. It has values in it
	// where the application, or a dialect's own choice, wrote them there.
	Text string
	// What follows leaves out the statements that GORM ran for this one (preloads,
	// associations, hooks), which are told of themselves: the time in the database, the
	// wait for a connection, and how often a server was asked.
	Busy, Wait time.Duration
	RoundTrips int
}

// Observer is told of every statement that GORM's callbacks run, after it has
// ended, in the goroutine that ran it. BEGIN and COMMIT pass no callback. It must be
// fast and safe for concurrent use. If it panics, that is logged, and the statement's
// result is what it was.
type Observer interface {
	ObserveStatement(ctx context.Context, s Statement)
}

// span is a statement under way, and the context of what runs for it.
type span struct {
	resolver.Span
	parent context.Context
	outer  *span
	start  time.Time
	kind   Kind
	inner  cost // of the statements that ran for it
}

// cost is what a statement took.
type cost struct {
	time, wait time.Duration
	trips      uint64
}

type spanKey struct{}

// Value implements context.Context.
func (s *span) Value(key any) any {
	if key == (spanKey{}) {
		return s
	}
	return s.Span.Value(key)
}

func spanIn(ctx context.Context) *span {
	if ctx == nil {
		return nil
	}
	s, _ := ctx.Value(spanKey{}).(*span)
	return s
}

// startSpan begins to time a statement.
func (p *Plugin) startSpan(kind Kind) func(*gorm.DB) {
	return func(db *gorm.DB) {
		parent := db.Statement.Context
		if parent == nil {
			return
		}
		s := &span{parent: parent, outer: spanIn(parent), kind: kind}
		if text := db.Statement.SQL.String(); text != "" {
			s.kind = kindOf(text)
		}
		p.annotate(parent)
		s.Begin(parent)
		s.start = time.Now()
		db.Statement.Context = s
	}
}

// endSpan tells the observer and gives the statement its context back.
func (p *Plugin) endSpan(db *gorm.DB) {
	s := spanIn(db.Statement.Context)
	if s == nil {
		return
	}
	s.End()
	took := time.Since(s.start)
	db.Statement.Context = s.parent
	if s.outer != nil {
		s.outer.inner.time += took
		s.outer.inner.wait += s.Wait
		s.outer.inner.trips += s.RoundTrips
	}
	id, _ := tenant.FromContext(s.parent)
	wait := s.Wait - s.inner.wait
	st := Statement{
		Tenant: id, Kind: s.kind, Table: db.Statement.Table, Duration: took,
		Rows: db.RowsAffected, Err: failure(db),
		Shard: s.Route.Shard, Node: s.Route.Node, Replica: s.Route.Replica,
		Text: db.Statement.SQL.String(),
		Busy: took - s.inner.time - wait, Wait: wait, RoundTrips: int(s.RoundTrips - s.inner.trips),
	}
	p.observed(s.parent, &st)
	if p.opts.observer != nil {
		p.tell(s.parent, st)
	}
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
