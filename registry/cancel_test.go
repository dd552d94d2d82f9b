package registry

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// interrupt cancels a context at the start, or the end, of a question that
// was asked with it.
type interrupt struct {
	cancel context.CancelFunc
	left   int // questions until then
	atEnd  bool
}

type interruptKey struct{}

// interrupter is a tracer that serves the interrupt of a question's context.
type interrupter struct{}

func (interrupter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return interruptAtStart(ctx)
}

func (interrupter) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	interruptAtEnd(ctx)
}

func (interrupter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return interruptAtStart(ctx)
}

func (interrupter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (interrupter) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchEndData) {
	interruptAtEnd(ctx)
}

func interruptAtStart(ctx context.Context) context.Context {
	if i, ok := ctx.Value(interruptKey{}).(*interrupt); ok {
		if i.left--; i.left == 0 && !i.atEnd {
			i.cancel()
		}
	}
	return ctx
}

func interruptAtEnd(ctx context.Context) {
	if i, ok := ctx.Value(interruptKey{}).(*interrupt); ok && i.left == 0 && i.atEnd {
		i.cancel()
	}
}

// TestCreateCancelledAnywhere: wherever its context ends, Create leaves a
// tenant that serves, or nothing.
func TestCreateCancelledAnywhere(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	cc := must(pgx.ParseConfig(dsn))(t)
	cc.Tracer = interrupter{}
	r := open(t, Config{ConnConfig: cc, HomeShard: "default"})
	cancelled := 0
	for step := 2; ; step++ { // 2n and 2n+1 are the n-th question's start and end
		ctx, cancel := context.WithCancel(t.Context())
		i := &interrupt{cancel: cancel, left: step / 2, atEnd: step%2 == 1}
		_, err := r.Create(context.WithValue(ctx, interruptKey{}, i), tenant.Spec{ID: "acme"})
		reached := ctx.Err() != nil
		cancel()
		rows := query[int](t, dsn, "SELECT count(*)::int FROM tenancy.tenants")
		if err == nil {
			if state(t, r, "acme") != tenant.StateActive || !schemaExists(t, dsn, "tenant_acme") {
				t.Errorf("step %d: created, but it does not serve", step)
			}
			if !reached {
				break
			}
			if err := r.Delete(t.Context(), "acme"); err != nil {
				t.Fatal(err)
			}
			continue
		}
		cancelled++
		if !errors.Is(err, context.Canceled) || rows != 0 || tenantSchemas(t, dsn) != 0 {
			t.Fatalf("step %d: %d rows, %d schemas, %v", step, rows, tenantSchemas(t, dsn), err)
		}
	}
	if cancelled < 3 { // two messages, the first at both its ends
		t.Errorf("cancelled at %d places only", cancelled)
	}
}

// TestCreateCancelledInCreateSchema: while the shard works on CREATE SCHEMA.
func TestCreateCancelledInCreateSchema(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	conn := must(pgx.Connect(t.Context(), r.cfg.DSN))(t)
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "BEGIN; CREATE SCHEMA tenant_acme"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	go func() { _, err := r.Create(ctx, tenant.Spec{ID: "acme"}); done <- err }()
	waiting := func() bool {
		return query[bool](t, r.cfg.DSN, `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'CREATE SCHEMA%')`)
	}
	eventually(t, "CREATE SCHEMA", waiting)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	eventually(t, "end of CREATE SCHEMA", func() bool { return !waiting() })
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if n := query[int](t, r.cfg.DSN, "SELECT count(*)::int FROM tenancy.tenants"); n != 0 || schemaExists(t, r.cfg.DSN, "tenant_acme") {
		t.Errorf("%d rows, schema: %t", n, schemaExists(t, r.cfg.DSN, "tenant_acme"))
	}
	create(t, r, "acme")
}
