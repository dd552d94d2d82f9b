package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	"github.com/gormtenancy/gormtenancy/metrics"
	"github.com/gormtenancy/gormtenancy/migrations"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
	"github.com/gormtenancy/gormtenancy/warden"
)

// patience is for a loaded machine.
const patience = 60 * time.Second

// Item is what tenants have.
type Item struct {
	ID   int64
	Name string `gorm:"unique"`
}

const (
	numTenants = 6
	// limited may send two statements, and then none for long.
	limited tenant.ID = "limited"
)

// application is all that makes metrics: plugin, governor, warden.
type application struct {
	db       *gorm.DB
	plugin   *tenantplugin.Plugin
	gathered *prometheus.Registry
	web      *httptest.Server
	stops    []func()
	rounds   int
}

func startApplication(ctx context.Context, cluster *pgcluster.Cluster) (_ *application, err error) {
	a := &application{gathered: prometheus.NewRegistry()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.stop())
		}
	}()
	reg, err := registry.Open(ctx, registry.Config{DSN: cluster.Control.DSN})
	if err != nil {
		return nil, err
	}
	a.stops = append(a.stops, reg.Close)
	for _, s := range cluster.Shards() {
		err := reg.AddShard(ctx, tenant.Shard{Name: s.Name, Primary: s.Primary.DSN, Replicas: []string{s.Replicas[0].DSN}})
		if err != nil {
			return nil, err
		}
	}
	err = errors.Join(
		reg.SetTierLimits(ctx, quota.TierAny, quota.Limits{StatementsPerSecond: 1e6, Concurrency: 20, Queue: 20}),
		reg.SetTierLimits(ctx, "free", quota.Limits{StatementsPerSecond: 0.001, StatementBurst: 2}))
	if err != nil {
		return nil, err
	}
	if err := a.open(ctx, cluster.Shards()[0].Primary.DSN, reg); err != nil {
		return nil, err
	}
	a.web = httptest.NewServer(promhttp.HandlerFor(a.gathered, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	a.stops = append(a.stops, a.web.Close)
	return a, a.createTenants(ctx, reg)
}

// open opens GORM with the plugin and what works beside it.
func (a *application) open(ctx context.Context, dsn string, reg *registry.Registry) error {
	g, err := quota.New(quota.Config{Source: reg})
	if err == nil {
		err = g.Start(ctx)
	}
	if err != nil {
		return err
	}
	a.stops = append(a.stops, g.Stop)
	if a.db, err = gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard}); err != nil {
		return err
	}
	a.plugin = tenantplugin.New(tenantplugin.WithModels(&Item{}), tenantplugin.WithRegistry(reg), tenantplugin.WithGovernor(g),
		tenantplugin.WithMetrics(a.gathered), tenantplugin.WithLeakDetection(time.Minute))
	if err := a.db.Use(a.plugin); err != nil {
		return err
	}
	w, err := warden.New(warden.Config{Registry: reg, Metrics: a.plugin.Metrics(), Pools: a.plugin.Stats})
	if err == nil {
		err = errors.Join(a.gathered.Register(w), w.Start(ctx))
	}
	if err == nil {
		a.stops = append(a.stops, w.Stop)
	}
	return err
}

// stop ends everything, the last begun first; the plugin before its registry.
func (a *application) stop() (err error) {
	for i := len(a.stops) - 1; i >= 0; i-- {
		if i == 0 && a.plugin != nil {
			err = a.plugin.Close()
		}
		a.stops[i]()
	}
	return err
}

func (a *application) createTenants(ctx context.Context, reg *registry.Registry) error {
	shards, err := reg.Shards(ctx)
	if err != nil {
		return err
	}
	for i := range numTenants {
		if _, err := reg.Create(ctx, tenant.Spec{ID: id(i), Shard: shards[i%len(shards)].Name}); err != nil {
			return err
		}
	}
	_, err = reg.Create(ctx, tenant.Spec{ID: limited, Tier: "free"})
	return err
}

func id(i int) tenant.ID { return tenant.ID(fmt.Sprintf("t-%d", i)) }

func (a *application) as(ctx context.Context, id tenant.ID) *gorm.DB {
	return a.db.WithContext(tenant.NewContext(ctx, id))
}

// work is some of everything: reads here and there, writes, a definition, failures, a
// transaction, refusals. Of migrations, it is the count alone.
func (a *application) work(ctx context.Context) error {
	a.rounds++
	a.plugin.CountMigration(migrations.Progress{Shard: "shard-1", Outcome: migrations.Migrated})
	for i := range numTenants {
		db := a.as(ctx, id(i))
		name := fmt.Sprint("round ", a.rounds)
		err := db.Transaction(func(tx *gorm.DB) error { return tx.Create(&Item{Name: name}).Error })
		if err == nil {
			err = db.Exec("comment on table items is 'x'").Error
		}
		if err != nil {
			return err
		}
		if db.Create(&Item{Name: name}).Error == nil {
			return errors.New("a duplicate was taken")
		}
		if err := a.readReplica(db); err != nil {
			return err
		}
	}
	var refused error
	for range 3 {
		refused = errors.Join(refused, a.as(ctx, limited).First(&Item{}).Error)
	}
	if !errors.Is(refused, tenant.ErrLimited) {
		return fmt.Errorf("a limit refused nothing: %w", refused)
	}
	return nil
}

// readReplica reads until a replica has answered.
func (a *application) readReplica(db *gorm.DB) error {
	before := a.plugin.Metrics().Totals().Replica
	for deadline := time.Now().Add(patience); a.plugin.Metrics().Totals().Replica == before; time.Sleep(10 * time.Millisecond) {
		if err := db.Find(&[]Item{}).Error; err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("no replica answers")
		}
	}
	return nil
}

// must is work that has to succeed.
func (a *application) must(t *testing.T) {
	t.Helper()
	if err := a.work(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// refused is how many statements limits refused.
func (a *application) refused() uint64 {
	return a.plugin.Metrics().Totals().Errors[metrics.ClassLimited]
}
