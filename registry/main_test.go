package registry

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tenant"
)

var roles atomic.Int64

func TestMain(m *testing.M) {
	if dsn := os.Getenv(childEnv); dsn != "" {
		fmt.Fprintln(os.Stderr, archiver(dsn))
		os.Exit(1)
	}
	os.Exit(pgtest.Main(m, goleak.Find))
}

// syncBuffer collects a log.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// open opens a registry that ends with the test, and whose log is searched for
// passwords then.
func open(t testing.TB, cfg Config) *Registry {
	t.Helper()
	log := &syncBuffer{}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	}
	r, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		if strings.Contains(log.String(), password) {
			t.Errorf("password in the log: %s", log)
		}
	})
	return r
}

// openHome opens a registry whose own database is the only shard.
func openHome(t testing.TB) *Registry {
	t.Helper()
	return open(t, Config{DSN: newDatabase(t), HomeShard: "default"})
}

// eventually polls until ok, and fails the test after a deadline. It returns
// how long it took.
func eventually(t testing.TB, what string, ok func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("%s: not within 20 s", what)
		}
		<-tick.C
	}
	return time.Since(start)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func create(t testing.TB, r *Registry, id tenant.ID) tenant.Tenant {
	t.Helper()
	return must(r.Create(t.Context(), tenant.Spec{ID: id}))(t)
}

// query asks the database of dsn for one value.
func query[T any](t testing.TB, dsn, sql string, args ...any) T {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	var v T
	if err := conn.QueryRow(ctx, sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// run executes statements in the database of dsn.
func run(t testing.TB, dsn, sql string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func schemaExists(t testing.TB, dsn, schema string) bool {
	t.Helper()
	return query[bool](t, dsn, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", schema)
}

// tenantSchemas counts the schemas that Create made.
func tenantSchemas(t testing.TB, dsn string) int {
	t.Helper()
	return query[int](t, dsn, "SELECT count(*)::int FROM pg_namespace WHERE nspname LIKE 'tenant\\_%'")
}
