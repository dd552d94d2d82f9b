// Package isolation proves, on real servers of every PostgreSQL version at
// hand, that tenants never meet: over shards, through every road of GORM's,
// with connections being killed.
//
//	make prove N=2000000
package isolation

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
	"github.com/gormtenancy/gormtenancy/tenanttest"
)

var (
	operations = flag.Int("prove.n", 8_000, "operations per PostgreSQL version")
	fleetSize  = flag.Int("prove.tenants", 40, "tenants, over two shards")
	seed       = flag.Uint64("prove.seed", 0, "repeat a run")
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, goleak.Find)) }

func TestProve(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		db, ids, dsns := newFleet(t, s, *fleetSize)
		tenanttest.Prove(t, db, tenanttest.ProveConfig{
			Tenants: ids, Operations: *operations, Workers: 32, Seed: *seed,
			Disturb: killer(t, dsns), LeaveBehind: true,
		})
	})
}

// TestProveStrict: the same under a role per tenant.
func TestProveStrict(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		db, ids, dsns := newFleet(t, s, *fleetSize, tenantplugin.WithRoles(), tenantplugin.WithModels(tenanttest.Models()...))
		tenanttest.Prove(t, db, tenanttest.ProveConfig{
			Tenants: ids, Operations: max(*operations/4, 2000), Workers: 32, Seed: *seed,
			Disturb: killer(t, dsns), Strict: true,
		})
	})
}

// newFleet returns a database with the plugin, 16 connections and n tenants
// on two shards.
func newFleet(t *testing.T, s *pgtest.Server, n int, opts ...tenantplugin.Option) (*gorm.DB, []tenant.ID, []string) {
	t.Helper()
	ctx := t.Context()
	reg, err := registry.Open(ctx, registry.Config{DSN: s.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reg.Close)
	dsns := []string{s.Database(t), s.Database(t)}
	for i, dsn := range dsns {
		err := reg.AddShard(ctx, tenant.Shard{Name: fmt.Sprintf("s%d", i), Primary: dsn + "&application_name=prove"})
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := gorm.Open(postgres.Open(dsns[0]), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	plugin := tenantplugin.New(append(opts, tenantplugin.WithRegistry(reg))...)
	if err := db.Use(plugin); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plugin.Close(); err != nil {
			t.Error(err)
		}
	})
	handle, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	handle.SetMaxOpenConns(16)
	handle.SetMaxIdleConns(16)
	ids := make([]tenant.ID, n)
	for i := range ids {
		ids[i] = tenant.ID(fmt.Sprintf("tenant-%03d", i))
		if _, err := reg.Create(ctx, tenant.Spec{ID: ids[i]}); err != nil {
			t.Fatal(err)
		}
	}
	return db, ids, dsns
}

// killer terminates one connection of the application now and then.
func killer(t *testing.T, dsns []string) func(context.Context) {
	t.Helper()
	var once sync.Once
	var dbs []*sql.DB
	t.Cleanup(func() {
		for _, db := range dbs {
			db.Close()
		}
	})
	at := 0
	return func(ctx context.Context) {
		once.Do(func() {
			for _, dsn := range dsns {
				db, err := sql.Open("pgx", dsn)
				if err != nil {
					t.Error(err)
					return
				}
				dbs = append(dbs, db)
			}
		})
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond): // the pace of the disturbance
		}
		at++
		// Its own failure does not matter: the run may just be over.
		_, _ = dbs[at%len(dbs)].ExecContext(ctx, `select pg_terminate_backend(pid) from pg_stat_activity
			where application_name = 'prove' and datname = current_database() order by random() limit 1`)
	}
}
