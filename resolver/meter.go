package resolver

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Meter is told what no Span accounts for: statements that pass no callback of GORM's
// (on a sql.DB, sql.Conn or sql.Tx), and the ends of transactions. It must be fast and
// safe for concurrent use.
type Meter interface {
	// Ran tells of a statement, after it was sent and answered. Of a query that is
	// when its first row is there.
	Ran(m Measured)
	// Ended tells of a transaction that was committed or rolled back on the server,
	// without its statements.
	Ended(m Measured)
}

// Measured is what a statement, or a transaction's end, took.
type Measured struct {
	Tenant     tenant.ID // empty for shared statements, and those of nobody
	Shard      string    // empty if it reached none
	Replica    bool
	Text       string        // of a statement
	Duration   time.Duration // without Wait
	Wait       time.Duration // for a connection
	Rows       int64         // affected, -1 where it is not known
	RoundTrips uint64
	Err        error
}

// tripCounter is a pool.Session that counts its round trips.
type tripCounter interface{ RoundTrips() uint64 }

func tripsOf(s *pool.Conn) uint64 {
	if c, ok := s.Session.(tripCounter); ok {
		return c.RoundTrips()
	}
	return 0
}

// metering measures one statement that no Span accounts for.
type metering struct {
	Span
	start time.Time
}

// measure returns a context for the Router's own use under which what runs is
// measured, and nil where nobody wants to know, or a Span accounts for it.
func (r *Router) measure(ctx context.Context) (context.Context, *metering) {
	if r.cfg.Meter == nil || spanOf(ctx).accountable() != nil {
		return ctx, nil
	}
	m := &metering{start: time.Now()}
	m.Begin(ctx)
	return &m.Span, m
}

// tell tells the Meter of a statement's end. m may be nil.
func (m *metering) tell(r *Router, text string, res any, err error) {
	if m == nil {
		return
	}
	m.End()
	rows := int64(-1)
	if res, ok := res.(driver.Result); ok && err == nil {
		rows, _ = res.RowsAffected() // an error of it leaves 0
	}
	id, _ := tenant.FromContext(m.Context)
	r.cfg.Meter.Ran(Measured{
		Tenant: id, Shard: m.Route.Shard, Replica: m.Route.Replica, Text: text,
		Duration: time.Since(m.start) - m.Wait, Wait: m.Wait, Rows: rows, RoundTrips: m.RoundTrips, Err: err,
	})
}

// finish ends a transaction by end, and tells who accounts for it.
func (t *tx) finish(end func() error) error {
	t.c.inTx = false
	span, meter := t.span.accountable(), t.c.r.cfg.Meter
	if span == nil && meter == nil || t.c.held == nil {
		return end()
	}
	m := Measured{Tenant: t.id, Shard: t.c.held.Pool().Shard(), Replica: t.c.held.Pool() != t.c.at.primary, Rows: -1}
	before, start := tripsOf(t.c.held), time.Now()
	m.Err = end()
	trips := tripsOf(t.c.held) - before
	switch {
	case span != nil:
		span.asked(trips)
	case trips > 0: // or the server never heard of the transaction
		m.Duration, m.Wait, m.RoundTrips = time.Since(start), t.wait, trips
	}
	if meter != nil && (trips > 0 || m.Err != nil) {
		meter.Ended(m)
	}
	return m.Err
}
