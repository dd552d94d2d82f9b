package routing

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/resolver"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// app is an application of its own on the lab's shard, without a replica, that
// the server knows by name.
type app struct {
	db      *gorm.DB
	handle  *sql.DB
	plugin  *tenantplugin.Plugin
	ctx     context.Context // of a tenant
	name    string
	watcher *pgx.Conn
}

// directory puts a registry's tenants on one shard.
type directory struct {
	resolver.Directory
	shard tenant.Shard
}

func (d directory) Shard(_ context.Context, name string) (tenant.Shard, error) {
	if name != d.shard.Name {
		return tenant.Shard{}, tenant.ErrUnknownShard
	}
	return d.shard, nil
}

func newApp(t *testing.T, before, after func(*sql.DB)) *app {
	t.Helper()
	a := &app{ctx: newTenant(t), name: fmt.Sprintf("app-%d", number.Add(1)), watcher: node(t, primary())}
	dsn := primary().DSN + "&application_name=" + a.name
	// The home database is another node, and keeps a connection of its own.
	db, err := gorm.Open(postgres.Open(primary().DSN), &gorm.Config{Logger: logger.Discard})
	must(t, err)
	former, err := db.DB()
	must(t, err)
	before(former)
	a.plugin = tenantplugin.New(tenantplugin.WithLogger(quiet),
		tenantplugin.WithDirectory(directory{lab.reg, tenant.Shard{Name: "s1", Primary: dsn}}))
	must(t, db.Use(a.plugin))
	a.db = db
	a.handle, err = db.DB()
	must(t, err)
	t.Cleanup(func() { must(t, a.handle.Close()) })
	after(a.handle)
	return a
}

// backends are the application's connections as the server sees them.
func (a *app) backends(t *testing.T) (n int) {
	t.Helper()
	must(t, a.watcher.QueryRow(t.Context(), "select count(*) from pg_stat_activity where application_name = $1", a.name).Scan(&n))
	return n
}

// burst makes n statements wait for each other, as far as the pool lets them,
// and returns the most connections that the server saw.
func (a *app) burst(t *testing.T, n, expect int) (most int) {
	t.Helper()
	_, err := a.watcher.Exec(t.Context(), "select pg_advisory_lock($1)", n)
	must(t, err)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if err := a.db.WithContext(a.ctx).Exec("select pg_advisory_xact_lock(?)", n).Error; err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, fmt.Sprintf("%d connections", expect), func() bool {
		most = max(most, a.backends(t))
		return most >= expect
	})
	for range 10 {
		most = max(most, a.backends(t))
	}
	_, err = a.watcher.Exec(t.Context(), "select pg_advisory_unlock($1)", n)
	must(t, err)
	wg.Wait()
	return most
}

func none(*sql.DB) {}

// each runs test with the setting made before Use and after it.
func each(t *testing.T, set func(*sql.DB), test func(*testing.T, *app)) {
	t.Run("before Use", func(t *testing.T) { t.Parallel(); test(t, newApp(t, set, none)) })
	t.Run("after Use", func(t *testing.T) { t.Parallel(); test(t, newApp(t, none, set)) })
}

func TestMaxOpenConns(t *testing.T) {
	t.Parallel()
	each(t, func(db *sql.DB) { db.SetMaxOpenConns(3) }, func(t *testing.T, a *app) {
		if got := a.handle.Stats().MaxOpenConnections; got != 3 {
			t.Errorf("Stats().MaxOpenConnections is %d", got)
		}
		if got := a.burst(t, 12, 3); got > 3 {
			t.Errorf("%d connections on the server", got)
		}
	})
}

func TestMaxIdleConns(t *testing.T) {
	t.Parallel()
	each(t, func(db *sql.DB) { db.SetMaxIdleConns(4) }, func(t *testing.T, a *app) {
		if got := a.burst(t, 9, 9); got != 9 {
			t.Errorf("%d connections in use", got)
		}
		eventually(t, "the idle connections to close", func() bool { return a.backends(t) <= 4 })
		// Callers that give back at once may close one or two more of them.
		if idle, open := a.handle.Stats().Idle, a.backends(t); idle != 4 || open < 1 {
			t.Errorf("%d idle, %d on the server", idle, open)
		}
	})
}

func TestConnMaxLifetime(t *testing.T) {
	t.Parallel()
	each(t, func(db *sql.DB) { db.SetConnMaxLifetime(50 * time.Millisecond) }, func(t *testing.T, a *app) {
		backend := func() (pid int) {
			must(t, a.db.WithContext(a.ctx).Raw("select pg_backend_pid()").Scan(&pid).Error)
			return pid
		}
		first := backend()
		eventually(t, "another connection", func() bool { return backend() != first })
	})
}

func TestPingStatsClose(t *testing.T) {
	t.Parallel()
	a := newApp(t, none, none)
	must(t, a.handle.PingContext(t.Context()))
	must(t, a.handle.PingContext(a.ctx))
	must(t, count(a.db.WithContext(a.ctx)))
	if s := a.handle.Stats(); s.OpenConnections == 0 || s.InUse != 0 {
		t.Errorf("%+v", s)
	}
	if s := a.plugin.Stats(); len(s) == 0 || s[0].Open == 0 || s[0].Opened == 0 {
		t.Errorf("%+v", s)
	}
	if a.backends(t) == 0 {
		t.Fatal("the test does not see its connections")
	}
	must(t, a.handle.Close())
	eventually(t, "the connections' end", func() bool { return a.backends(t) == 0 })
	if err := count(a.db.WithContext(a.ctx)); err == nil {
		t.Error("a statement ran after Close")
	}
	if err := a.handle.PingContext(t.Context()); err == nil {
		t.Error("Ping succeeds after Close")
	}
}

// Statements on the handle itself reach a tenant's tables only with the tenant
// in their context, prepared ones and transactions too.
func TestBareStatements(t *testing.T) {
	t.Parallel()
	a := newApp(t, none, none)
	must(t, a.db.WithContext(a.ctx).Create(&Item{Name: "mine"}).Error)
	const text = "select name from items"
	stmt, err := a.handle.PrepareContext(t.Context(), text)
	must(t, err)
	defer stmt.Close()
	for name, ask := range map[string]func(context.Context) (string, error){
		"query": func(ctx context.Context) (s string, err error) {
			return s, a.handle.QueryRowContext(ctx, text).Scan(&s)
		},
		"prepared": func(ctx context.Context) (s string, err error) { return s, stmt.QueryRowContext(ctx).Scan(&s) },
		"tx": func(ctx context.Context) (s string, err error) {
			tx, err := a.handle.BeginTx(ctx, nil)
			if err != nil {
				return "", err
			}
			err = tx.QueryRowContext(ctx, text).Scan(&s)
			return s, errors.Join(err, tx.Rollback())
		},
		"conn": func(ctx context.Context) (s string, err error) {
			c, err := a.handle.Conn(ctx)
			if err != nil {
				return "", err
			}
			err = c.QueryRowContext(ctx, text).Scan(&s)
			return s, errors.Join(err, c.Close())
		},
	} {
		if got, err := ask(t.Context()); !isCode(err, "42P01") {
			t.Errorf("%s without a tenant: %q, %v", name, got, err)
		}
		if _, err := ask(a.ctx); err != nil {
			t.Errorf("%s in the tenant: %v", name, err)
		}
		if got, err := ask(t.Context()); !isCode(err, "42P01") {
			t.Errorf("%s without a tenant, afterwards: %q, %v", name, got, err)
		}
	}
}
