package pgscope

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, goleak.Find)) }

// onEach runs a test on every PostgreSQL that the test run has.
func onEach(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		test(t, s.Database(t))
	})
}

// byTenant scopes by the tenant in the context, its schema named as the ID. Every
// other tenant has timeouts.
func byTenant(ctx context.Context) (Scope, error) {
	id, err := tenant.FromContext(ctx)
	s := Scope{Owner: string(id), Schema: string(id), Version: versionOf(ctx)}
	if s.Owner != "" && s.Owner[len(s.Owner)-1]%2 == 1 {
		s.StatementTimeout, s.IdleTimeout = 60_000, 600_000
	}
	return s, err
}

type versionKey struct{}

func versionOf(ctx context.Context) int64 {
	v, _ := ctx.Value(versionKey{}).(int64)
	return v
}

// open returns a scoped pool of n connections to dsn.
func open(t *testing.T, dsn string, n int, change ...func(*Config)) *sql.DB {
	t.Helper()
	conf, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Conn: conf, Scope: byTenant}
	for _, f := range change {
		f(&cfg)
	}
	c, err := NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	t.Cleanup(func() { db.Close() })
	return db
}

// admin opens an ordinary pool and runs setup statements on it.
func admin(t *testing.T, dsn string, setup ...string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for _, s := range setup {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return db
}

// tenants makes schemas t0..tn-1, each with a table that names its owner in
// row 1.
func tenants(t *testing.T, dsn string, n int) *sql.DB {
	t.Helper()
	var setup []string
	for i := range n {
		setup = append(setup, fmt.Sprintf(`create schema t%d; create table t%d.who (id int primary key, owner text);
			insert into t%d.who values (1, 't%d')`, i, i, i, i))
	}
	return admin(t, dsn, setup...)
}

func as(t *testing.T, id string) context.Context {
	return tenant.NewContext(t.Context(), tenant.ID(id))
}

// owner reads row 1 as the tenant of ctx.
func owner(ctx context.Context, q interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, args ...any,
) (string, error) {
	var s string
	err := q.QueryRowContext(ctx, "select owner from who where id = 1", args...).Scan(&s)
	return s, err
}
