package pool_test

import (
	"context"
	"database/sql/driver"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/internal/pgscope"
	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/internal/pool"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, goleak.Find)) }

// gate is the real connector, with a hook before each connection.
type gate struct {
	driver.Connector
	before atomic.Pointer[func(context.Context) error]
}

func (g *gate) Connect(ctx context.Context) (driver.Conn, error) {
	if f := g.before.Load(); f != nil {
		if err := (*f)(ctx); err != nil {
			return nil, err
		}
	}
	return g.Connector.Connect(ctx)
}

// node is a pool of a server, and somebody who watches the server.
type node struct {
	*pool.Pool
	gate    *gate
	watcher *pgx.Conn
	name    string // of the database
}

// open returns a pool of a new, empty database. It is closed with the test.
func open(t *testing.T, cfg pool.Config) *node {
	t.Helper()
	dsn := pgtest.Any(t).Database(t)
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := pgx.ConnectConfig(t.Context(), config.Copy())
	if err != nil {
		t.Fatal(err)
	}
	name := config.Database
	t.Cleanup(func() {
		if err := watcher.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	connector, err := pgscope.NewConnector(pgscope.Config{
		Conn:  config,
		Scope: func(context.Context) (pgscope.Scope, error) { return pgscope.Scope{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{gate: &gate{Connector: connector}, watcher: watcher, name: name}
	cfg.Shard, cfg.Node, cfg.Connector = "s1", "primary", n.gate
	n.Pool = pool.New(cfg)
	t.Cleanup(n.Close)
	return n
}

// acquire takes a connection for owner and wants no error.
func (n *node) acquire(t *testing.T, owner string) *pool.Conn {
	t.Helper()
	c, err := n.Acquire(t.Context(), pool.Claim{Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// acquireLater does so in a goroutine and returns when it waits.
func (n *node) acquireLater(t *testing.T, ctx context.Context) <-chan outcome {
	t.Helper()
	waiting := n.Stats().Waiting
	got := make(chan outcome, 1)
	go func() {
		c, err := n.Acquire(ctx, pool.Claim{Owner: "later"})
		got <- outcome{c, err}
	}()
	eventually(t, "a waiter", func() bool { return n.Stats().Waiting == waiting+1 })
	return got
}

type outcome struct {
	c   *pool.Conn
	err error
}

// await returns what ch tells, within 10 s.
func await[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("waited 10 s for %s", what)
		panic("unreachable")
	}
}

// backends counts the pool's connections as the server sees them.
func (n *node) backends(t *testing.T) int {
	t.Helper()
	var count int
	err := n.watcher.QueryRow(t.Context(), `select count(*) from pg_stat_activity
		where datname = $1 and pid <> pg_backend_pid() and backend_type = 'client backend'`, n.name).Scan(&count)
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// kill ends all backends of the pool, as an administrator would.
func (n *node) kill(t *testing.T) {
	t.Helper()
	_, err := n.watcher.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
		where datname = $1 and pid <> pg_backend_pid()`, n.name)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the backends' end", func() bool { return n.backends(t) == 0 })
}

// pid asks a connection for its backend.
func pid(ctx context.Context, c *pool.Conn) (int64, error) {
	rows, err := c.QueryContext(ctx, "select pg_backend_pid()", nil)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	cell := make([]driver.Value, 1)
	if err := rows.Next(cell); err != nil {
		return 0, err
	}
	return cell[0].(int64), nil
}

// backend is pid where no error is expected.
func backend(t *testing.T, c *pool.Conn) int64 {
	t.Helper()
	id, err := pid(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// run executes text on a connection.
func run(t *testing.T, c *pool.Conn, text string) {
	t.Helper()
	if _, err := c.ExecContext(t.Context(), text, nil); err != nil {
		t.Fatal(err)
	}
}

// eventually polls until ok, at most 10 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10 s for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
