package readme

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
	"github.com/gormtenancy/gormtenancy/warden"
)

func Example_governance() {
	ctx, dsn := context.Background(), newDSN()
	reg, err := registry.Open(ctx, registry.Config{DSN: dsn, HomeShard: "home"})
	check(err)
	defer reg.Close()
	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{})
	check(err)

	governor, err := quota.New(quota.Config{Source: reg}) // Shared: redislimit.New(url) makes rates those of all processes
	check(err)
	check(governor.Start(ctx))
	p := tenantplugin.New(tenantplugin.WithRegistry(reg), tenantplugin.WithModels(&Invoice{}),
		tenantplugin.WithMetrics(prometheus.DefaultRegisterer), tenantplugin.WithGovernor(governor))
	check(db.Use(p))
	w, err := warden.New(warden.Config{Registry: reg, Metrics: p.Metrics(), Pools: p.Stats, Quarantine: warden.DryRun})
	check(err)
	check(w.Start(ctx))
	_, err = reg.Create(ctx, tenant.Spec{ID: "acme", Tier: "free"})
	check(err)

	check(reg.SetTierLimits(ctx, "free", quota.Limits{StatementsPerSecond: 50, Concurrency: 4, Queue: 20, RowsPerResult: 10_000}))
	check(reg.SetLimits(ctx, "acme", []byte(`{"statement_timeout": "5s", "concurrency": null}`))) // acme's exception

	_, err = reg.Quarantine(ctx, "acme", registry.QuarantineSpec{Reason: "by hand"})
	check(err)
	check(reg.Release(ctx, "acme"))

	check(db.WithContext(tenant.NewContext(ctx, "acme")).Create(&Invoice{Amount: 12}).Error)
	seen, _ := p.Metrics().Tenant("acme")
	fmt.Println(seen.Tenant, "on", seen.Shard, "was measured:", seen.Usage.Count() > 0 && seen.P99 > 0)
	var limited *quota.LimitError
	fmt.Println(errors.As(db.WithContext(tenant.NewContext(ctx, "acme")).First(&Invoice{}).Error, &limited))
	w.Stop()
	check(p.Close())
	governor.Stop()
	// Output:
	// acme on home was measured: true
	// false
}
