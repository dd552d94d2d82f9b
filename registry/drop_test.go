package registry

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// fillLarge fills a schema with n tables that all refer to one, and with what else
// stands in the way of dropping them one by one.
func fillLarge(t testing.TB, dsn, schema string, n int) {
	t.Helper()
	run(t, dsn, fmt.Sprintf(`SET search_path = %s;
		CREATE TABLE hub (id int PRIMARY KEY);
		CREATE TABLE parent (id bigint GENERATED ALWAYS AS IDENTITY, n int) PARTITION BY LIST (n);
		CREATE SEQUENCE alone; CREATE VIEW seen AS SELECT * FROM hub; CREATE MATERIALIZED VIEW kept AS SELECT * FROM seen;
		CREATE FUNCTION one() RETURNS int LANGUAGE sql RETURN 1; CREATE TYPE mood AS ENUM ('good');
		CREATE TABLE "odd ""name" (m mood, s serial)`, schema))
	conn := must(pgx.Connect(t.Context(), dsn))(t)
	defer conn.Close(context.Background())
	for i := range n {
		sql := fmt.Sprintf("CREATE TABLE %[1]s.t%[2]d (id serial PRIMARY KEY, hub int REFERENCES %[1]s.hub, note text UNIQUE)", schema, i)
		if i%10 == 0 {
			sql += fmt.Sprintf("; CREATE TABLE %[1]s.p%[2]d PARTITION OF %[1]s.parent FOR VALUES IN (%[2]d)", schema, i)
		}
		if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDropManyTables: on a server whose locks are too few for one statement, and of
// which a crash had dropped a part.
func TestDropManyTables(t *testing.T) {
	t.Parallel()
	bin := must(pgcluster.Find(t.Context(), pgcluster.FindOptions{Version: "15"}))(t)
	c := must(pgcluster.Start(t.Context(), pgcluster.Config{Binaries: bin, Params: map[string]string{
		"max_locks_per_transaction": "10", "max_connections": "20", "max_wal_senders": "0", "wal_level": "minimal",
	}}))(t)
	t.Cleanup(func() { _ = c.Stop(context.Background()) })
	dsn := c.Control.DSN
	r := open(t, Config{DSN: dsn, HomeShard: "default", MaxConns: 2})
	create(t, r, "acme")
	conn := must(pgx.Connect(t.Context(), dsn))(t)
	defer conn.Close(context.Background())
	fillLarge(t, dsn, "tenant_acme", 150)
	if _, err := conn.Exec(t.Context(), "DROP SCHEMA tenant_acme CASCADE"); sqlState(err) != outOfLocks {
		t.Fatalf("one statement: %v", err)
	}
	for range 2 {
		if last, err := dropSome(t.Context(), conn, "tenant_acme", 10); last || err != nil {
			t.Fatal(last, err)
		}
	}
	if err := r.Delete(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	if schemaExists(t, dsn, "tenant_acme") {
		t.Error("the schema is left")
	}
}

// TestDropWaits: for a statement that uses a table, as long as the context allows, and
// nobody else waits behind it for long.
func TestDropWaits(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	create(t, r, "acme")
	run(t, r.cfg.DSN, `CREATE TABLE plans (id int PRIMARY KEY); CREATE TABLE tenant_acme.a (plan int REFERENCES plans)`)
	conn := must(pgx.Connect(t.Context(), r.cfg.DSN))(t)
	defer conn.Close(context.Background())
	tx := must(conn.Begin(t.Context()))(t)
	if _, err := tx.Exec(t.Context(), "SELECT FROM plans"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	err := r.Delete(ctx, "acme")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if got := must(r.Get(t.Context(), "acme"))(t); got.State != tenant.StateArchived {
		t.Errorf("state %s", got.State)
	}
	done := make(chan error)
	go func() { done <- r.Delete(t.Context(), "acme") }()
	const waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
	eventually(t, "the drop to wait", func() bool { return query[bool](t, r.cfg.DSN, waiting) })
	patient := must(pgx.Connect(t.Context(), r.cfg.DSN))(t)
	defer patient.Close(context.Background())
	short, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	if _, err := patient.Exec(short, "SELECT FROM plans"); err != nil {
		t.Fatalf("a statement of the application waits behind the drop: %v", err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT FROM plans"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
