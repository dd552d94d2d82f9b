package pgscope

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// tracer scopes what is done on a *pgx.Conn directly (batches, COPY, queries
// through sql.Conn.Raw). Statements that come through the driver are armed
// already, and pass.
type tracer struct{ cfg *Config }

func (t tracer) start(ctx context.Context, conn *pgx.Conn, as arm, texts ...string) {
	w, ok := conn.PgConn().Conn().(*wire)
	if !ok || !w.enter() {
		return
	}
	s, err := t.cfg.Scope(ctx)
	if err == nil {
		err = w.fits(s)
	}
	if err == nil {
		err = w.check(s.Owner)
	}
	if err == nil && w.holds(s.Owner) {
		err = errHolds
	}
	for _, text := range texts {
		if err == nil {
			_, err = inspect(w, text)
		}
	}
	if err != nil {
		w.refuse(err)
		return
	}
	w.set(as, s)
}

func (t tracer) end(conn *pgx.Conn) {
	if w, ok := conn.PgConn().Conn().(*wire); ok {
		w.leave()
	}
}

func (t tracer) TraceQueryStart(ctx context.Context, c *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	t.start(ctx, c, armScope, d.SQL)
	return ctx
}

func (t tracer) TraceQueryEnd(_ context.Context, c *pgx.Conn, _ pgx.TraceQueryEndData) { t.end(c) }

func (t tracer) TraceBatchStart(ctx context.Context, c *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	var texts []string
	if d.Batch != nil {
		for _, q := range d.Batch.QueuedQueries {
			texts = append(texts, q.SQL)
		}
	}
	t.start(ctx, c, armScope, texts...)
	return ctx
}

func (t tracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (t tracer) TraceBatchEnd(_ context.Context, c *pgx.Conn, _ pgx.TraceBatchEndData) { t.end(c) }

func (t tracer) TraceCopyFromStart(ctx context.Context, c *pgx.Conn, _ pgx.TraceCopyFromStartData) context.Context {
	t.start(ctx, c, armCopy)
	return ctx
}

func (t tracer) TraceCopyFromEnd(_ context.Context, c *pgx.Conn, _ pgx.TraceCopyFromEndData) {
	t.end(c)
}

func (t tracer) TracePrepareStart(ctx context.Context, c *pgx.Conn, d pgx.TracePrepareStartData) context.Context {
	t.start(ctx, c, armScope, d.SQL)
	return ctx
}

func (t tracer) TracePrepareEnd(_ context.Context, c *pgx.Conn, _ pgx.TracePrepareEndData) {
	t.end(c)
}
