package structure

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, goleak.Find)) }

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func execute(t testing.TB, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// in runs statements in a schema.
func in(t testing.TB, conn *pgx.Conn, schema, sql string) {
	t.Helper()
	execute(t, conn, "SET search_path = "+tenant.QuoteIdent(schema)+"; "+sql)
}

func make1(t testing.TB, conn *pgx.Conn, schema, sql string) {
	t.Helper()
	execute(t, conn, "CREATE SCHEMA "+tenant.QuoteIdent(schema))
	in(t, conn, schema, sql)
}

func read(t testing.TB, conn *pgx.Conn, schema string) *Structure {
	t.Helper()
	r, err := One(t.Context(), conn, schema)
	if err != nil {
		t.Fatal(err)
	}
	return r.Structure
}

func equal(t testing.TB, a, b *Structure) {
	t.Helper()
	if a.Fingerprint() != b.Fingerprint() {
		t.Errorf("fingerprints differ: %v", Diff(a, b))
	}
	if len(Diff(a, b)) != 0 {
		t.Errorf("differences: %v", Diff(a, b))
	}
}
