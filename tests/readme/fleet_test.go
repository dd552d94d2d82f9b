package readme

import (
	"context"
	"fmt"
	"testing/fstest"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/migrations"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func Example_fleet() {
	ctx, control := context.Background(), newDSN()
	files := fstest.MapFS{"00001_invoices.sql": {Data: []byte("-- +goose Up\nCREATE TABLE invoices (id bigserial PRIMARY KEY, amount bigint);")}}
	reg, err := registry.Open(ctx, registry.Config{DSN: control, HomeShard: "home"})
	check(err)
	defer reg.Close()
	start := func() (*gorm.DB, *tenantplugin.Plugin) {
		db, err := gorm.Open(postgres.Open(control), &gorm.Config{})
		check(err)
		p := tenantplugin.New(tenantplugin.WithRegistry(reg), tenantplugin.WithMigrations(files))
		check(db.Use(p))
		return db, p
	}
	_, before := start()
	for _, id := range []tenant.ID{"acme", "globex", "initech"} {
		_, err = reg.Create(ctx, tenant.Spec{ID: id})
		check(err)
	}
	check(before.Close())
	files["00002_due.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nALTER TABLE invoices ADD COLUMN due date;")}
	_, p := start()

	report, err := migrations.Run(ctx, reg, p.Migrations(), migrations.Options{
		Rings:       []migrations.Ring{{Name: "canary", Tenants: []tenant.ID{"acme"}}, {Name: "a tenth", Percent: 10}},
		MaxFailures: 5,
	})
	check(err) // a *migrations.PartialError says who failed, and why; run again to go on

	_, err = reg.DeleteAfter(ctx, "globex", 30*24*time.Hour) // suspended at once; Undelete takes it back
	check(err)
	fmt.Println(report.Done(), "tenants at version", report.Target)
	check(p.Close())
	// Output:
	// 3 tenants at version 2
}
