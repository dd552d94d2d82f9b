package routing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/resolver"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Item is the tests' model.
type Item struct {
	ID   int64
	Name string
}

// lab is a shard with a replica and an application on it, shared by all tests;
// each makes tenants of its own. Tests that hold back or stop the replica are
// not parallel, so that they run before those that are.
var lab struct {
	cluster *pgcluster.Cluster
	reg     *registry.Registry
	db      *gorm.DB
	plugin  *tenantplugin.Plugin
	limits  *quota.Governor
	policy  *policy
}

var quiet = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) {
	code := 1
	err := start()
	if err == nil {
		code = m.Run()
	}
	if err = errors.Join(err, stop()); err == nil && code == 0 {
		// GORM never stops the goroutine of a prepared statement store.
		err = goleak.Find(goleak.IgnoreTopFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func start() (err error) {
	ctx := context.Background()
	if lab.cluster, err = pgcluster.Start(ctx, pgcluster.Config{Replicas: 1, InMemory: true}); err != nil {
		return err
	}
	if lab.reg, err = registry.Open(ctx, registry.Config{DSN: lab.cluster.Control.DSN, Logger: quiet}); err != nil {
		return err
	}
	s := lab.cluster.Shards()[0]
	err = lab.reg.AddShard(ctx, tenant.Shard{Name: "s1", Primary: s.Primary.DSN, Replicas: []string{s.Replicas[0].DSN}})
	if err != nil {
		return err
	}
	lab.policy = &policy{}
	if lab.limits, err = quota.New(quota.Config{Source: lab.policy}); err != nil {
		return err
	}
	if err = lab.limits.Start(ctx); err != nil {
		return err
	}
	lab.plugin = tenantplugin.New(tenantplugin.WithRegistry(lab.reg), tenantplugin.WithModels(&Item{}),
		tenantplugin.WithLogger(quiet), tenantplugin.WithGovernor(lab.limits))
	lab.db, err = gorm.Open(postgres.Open(s.Primary.DSN), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return err
	}
	return lab.db.Use(lab.plugin)
}

func stop() (err error) {
	if lab.plugin != nil {
		err = lab.plugin.Close()
	}
	if lab.limits != nil {
		lab.limits.Stop()
	}
	if lab.reg != nil {
		lab.reg.Close()
	}
	if lab.cluster != nil {
		err = errors.Join(err, lab.cluster.Stop(context.Background()))
	}
	return err
}

var number atomic.Int64

// newTenant makes a tenant of the lab and returns its context.
func newTenant(t *testing.T) context.Context {
	t.Helper()
	id := tenant.ID(fmt.Sprintf("t-%d", number.Add(1)))
	if _, err := lab.reg.Create(t.Context(), tenant.Spec{ID: id, Shard: "s1"}); err != nil {
		t.Fatal(err)
	}
	return tenant.NewContext(t.Context(), id)
}

// routeOf runs f and tells where its last statement ran.
func routeOf(t *testing.T, ctx context.Context, f func(*gorm.DB) error) resolver.Route {
	t.Helper()
	traced, route := resolver.Trace(ctx)
	if err := f(lab.db.WithContext(traced)); err != nil {
		t.Fatal(err)
	}
	return *route
}

// count is a read as applications write it.
func count(db *gorm.DB) error {
	var n int64
	return db.Model(&Item{}).Count(&n).Error
}

// settled waits until the replica serves ctx's tenant.
func settled(t *testing.T, ctx context.Context) {
	t.Helper()
	eventually(t, "the replica to serve the tenant", func() bool { return routeOf(t, ctx, count).Replica })
}

// node is a server that the tests ask and tell, past the plugin.
func node(t *testing.T, n *pgcluster.Node) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), n.DSN)
	must(t, err)
	t.Cleanup(func() { must(t, c.Close(context.WithoutCancel(t.Context()))) })
	return c
}

func primary() *pgcluster.Node { return lab.cluster.Shards()[0].Primary }
func replica() *pgcluster.Node { return lab.cluster.Shards()[0].Replicas[0] }

// heldBack holds the replica back until the test ends or resume is called. The
// test must not be parallel.
func heldBack(t *testing.T) (resume func()) {
	t.Helper()
	c := node(t, replica())
	_, err := c.Exec(t.Context(), "select pg_wal_replay_pause()")
	must(t, err)
	eventually(t, "the replica to stand still", func() bool {
		var state string
		must(t, c.QueryRow(t.Context(), "select pg_get_wal_replay_pause_state()").Scan(&state))
		return state == "paused"
	})
	resume = func() {
		_, err := c.Exec(context.WithoutCancel(t.Context()), "select pg_wal_replay_resume()")
		must(t, err)
	}
	t.Cleanup(resume)
	return resume
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until ok, at most 15 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 15 s for %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
