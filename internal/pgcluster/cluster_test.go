package pgcluster

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		help()
		return
	}
	goleak.VerifyTestMain(m)
}

// bundles runs a test with every PostgreSQL at hand.
func bundles(t *testing.T, test func(*testing.T, Binaries)) {
	t.Helper()
	for _, version := range []string{"15", "18"} {
		t.Run(version, func(t *testing.T) {
			b, err := Find(t.Context(), FindOptions{Version: version, NoFetch: true})
			if err != nil {
				t.Skipf("PostgreSQL %s is not here: %v", version, err)
			}
			test(t, b)
		})
	}
}

func query[T any](t *testing.T, dsn, sql string, args ...any) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var v T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

func TestClusterReplicates(t *testing.T) {
	t.Parallel()
	bundles(t, func(t *testing.T, b Binaries) {
		c, err := Start(t.Context(), Config{Binaries: b, Shards: 2, Replicas: 1, InMemory: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Stop(t.Context())
		for i, s := range c.Shards() {
			if major := query[string](t, s.Primary.DSN, "select current_setting('server_version_num')")[:2]; major != b.Major {
				t.Errorf("version %s, want %s", major, b.Major)
			}
			query[int](t, s.Primary.DSN, "with x as (select 1) select 1")
			execute(t, s.Primary.DSN, fmt.Sprintf("create table t as select %d as n", i))
			r := s.Replicas[0]
			eventually(t, "the row on the replica", func() bool {
				return query[bool](t, r.DSN, "select to_regclass('t') is not null")
			})
			if n := query[int](t, r.DSN, "select n from t"); n != i {
				t.Errorf("shard %d's replica has %d", i, n)
			}
			if !query[bool](t, r.DSN, "select pg_is_in_recovery()") {
				t.Error("the replica is none")
			}
		}
		s := c.Shards()[0]
		s.Replicas[0].Stop()
		execute(t, s.Primary.DSN, "insert into t values (7)")
		if err := s.Replicas[0].Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the replica to catch up", func() bool {
			return query[int](t, s.Replicas[0].DSN, "select count(*) from t") == 2
		})
		query[int](t, c.Control.DSN, "select 1")
		fresh, err := c.NewDatabase(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		query[int](t, fresh, "select 1")
		dir := c.dir
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s was left behind: %v", dir, err)
		}
		if err := c.Stop(t.Context()); err != nil {
			t.Errorf("a second Stop: %v", err)
		}
	})
}

func execute(t *testing.T, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestKeptDataIsFoundAgain(t *testing.T) {
	t.Parallel()
	b, err := Find(t.Context(), FindOptions{NoFetch: true})
	if err != nil {
		t.Skip(err)
	}
	cfg := Config{Binaries: b, Dir: openDir(t), Keep: true, Replicas: 1}
	for round := range 2 {
		c, err := Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		s := c.Shards()[0]
		execute(t, s.Primary.DSN, "create table if not exists kept (n int)")
		execute(t, s.Primary.DSN, "insert into kept values (1)")
		eventually(t, "the kept rows on the replica", func() bool {
			return query[bool](t, s.Replicas[0].DSN, "select to_regclass('kept') is not null") &&
				query[int](t, s.Replicas[0].DSN, "select count(*) from kept") == round+1
		})
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// openDir is a temporary directory that another user may pass through.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgcluster-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
