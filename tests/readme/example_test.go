package readme

import (
	"context"
	"fmt"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/plugin/dbresolver"

	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/resolver"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Invoice is the examples' model.
type Invoice struct {
	ID     int64
	Amount int64
}

func Example() {
	ctx, dsn := context.Background(), newDSN()

	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{})
	check(err)
	p := tenantplugin.New(tenantplugin.WithModels(&Invoice{}))
	check(db.Use(p)) // the one line

	_, err = p.Registry().Create(ctx, tenant.Spec{ID: "acme"}) // its schema, with the models' tables
	check(err)
	_, err = p.Registry().Create(ctx, tenant.Spec{ID: "globex"})
	check(err)

	acme := tenant.NewContext(ctx, "acme") // what the middleware does
	globex := tenant.NewContext(ctx, "globex")
	check(db.WithContext(acme).Create(&Invoice{Amount: 12}).Error)

	var invoices []Invoice
	check(db.WithContext(acme).Find(&invoices).Error)
	fmt.Println("acme:", invoices)
	check(db.WithContext(globex).Find(&invoices).Error)
	fmt.Println("globex:", invoices)
	fmt.Println("nobody:", db.Find(&invoices).Error)

	check(p.Close())
	// Output:
	// acme: [{1 12}]
	// globex: []
	// nobody: no tenant in the context: put one there with tenant.NewContext, or say tenant.Shared for shared tables
}

func Example_adopt() {
	ctx, dsn := context.Background(), legacy()
	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{})
	check(err)
	p := tenantplugin.New()
	check(db.Use(p))

	_, err = p.Registry().Adopt(ctx, tenant.Spec{ID: "old", Schema: "old_customer"})
	check(err)

	var invoices []Invoice
	check(db.WithContext(tenant.NewContext(ctx, "old")).Find(&invoices).Error)
	fmt.Println(invoices)

	check(p.Close())
	// Output:
	// [{1 7} {2 8}]
}

func Example_shards() {
	ctx, control := context.Background(), newDSN()
	eu, us := cluster.Shards()[0], cluster.Shards()[1]

	reg, err := registry.Open(ctx, registry.Config{DSN: control})
	check(err)
	check(reg.AddShard(ctx, tenant.Shard{
		Name: "eu-1", Region: "eu", Primary: eu.Primary.DSN, Replicas: []string{eu.Replicas[0].DSN},
	}))
	check(reg.AddShard(ctx, tenant.Shard{
		Name: "us-1", Region: "us", Primary: us.Primary.DSN, Replicas: []string{us.Replicas[0].DSN},
	}))

	db, err := gorm.Open(postgres.Open(control), &gorm.Config{})
	check(err)
	p := tenantplugin.New(tenantplugin.WithRegistry(reg), tenantplugin.WithModels(&Invoice{}))
	check(db.Use(p))

	t, err := reg.Create(ctx, tenant.Spec{ID: "acme", Region: "eu"}) // or without Region: any shard, by consistent hashing
	check(err)
	fmt.Println(t.Schema, "on", t.Placement.Shard)

	ctx = tenant.NewContext(ctx, "acme")
	check(db.WithContext(ctx).Create(&Invoice{Amount: 12}).Error)

	var n int64
	traced, route := resolver.Trace(ctx) // tells where a statement ran
	check(db.WithContext(traced).Model(&Invoice{}).Count(&n).Error)
	fmt.Println("read your own write:", n)
	for !route.Replica { // until the replica has replayed that write
		time.Sleep(time.Millisecond)
		check(db.WithContext(traced).Model(&Invoice{}).Count(&n).Error)
	}
	fmt.Println("then on", route.Shard, route.Node)

	check(db.WithContext(traced).Clauses(dbresolver.Write).Model(&Invoice{}).Count(&n).Error)
	fmt.Println("dbresolver.Write:", route.Node)
	check(db.WithContext(resolver.Primary(traced)).Model(&Invoice{}).Count(&n).Error)
	fmt.Println("resolver.Primary:", route.Node)

	check(p.Close())
	reg.Close()
	// Output:
	// tenant_acme on eu-1
	// read your own write: 1
	// then on eu-1 replica-0
	// dbresolver.Write: primary
	// resolver.Primary: primary
}

func Example_shared() {
	ctx := context.Background()
	db, err := gorm.Open(postgres.Open(newDSN()), &gorm.Config{})
	check(err)
	p := tenantplugin.New()
	check(db.Use(p))

	shared := tenant.Shared(ctx) // said on purpose: the shared schema, "public" by default
	check(db.WithContext(shared).AutoMigrate(&Invoice{}))
	check(db.WithContext(shared).Create(&Invoice{Amount: 1}).Error)

	_, err = p.Registry().Create(ctx, tenant.Spec{ID: "acme"})
	check(err)
	fmt.Println(db.WithContext(tenant.NewContext(ctx, "acme")).Find(&[]Invoice{}).Error)

	check(p.Close())
	// Output:
	// ERROR: relation "invoices" does not exist (SQLSTATE 42P01)
}

func Example_pool() {
	db, err := gorm.Open(postgres.Open(newDSN()), &gorm.Config{})
	check(err)
	p := tenantplugin.New()
	check(db.Use(p))
	_, err = p.Registry().Create(context.Background(), tenant.Spec{ID: "acme"})
	check(err)

	sqlDB, err := db.DB() // as ever
	check(err)
	sqlDB.SetMaxOpenConns(20)
	sqlDB.SetMaxIdleConns(10)
	sqlDB.SetConnMaxLifetime(time.Hour)
	acme := tenant.NewContext(context.Background(), "acme")
	check(db.WithContext(acme).Exec("select 1").Error)
	for _, s := range p.Stats() {
		fmt.Println(s.Shard, s.Node, "open:", s.Open, "in use:", s.InUse(), "at most:", s.MaxConns)
	}

	check(p.Close())
	// Output:
	// default primary open: 1 in use: 0 at most: 50
}

// printer is an observer.
type printer struct{}

// ObserveStatement implements tenantplugin.Observer.
func (printer) ObserveStatement(_ context.Context, s tenantplugin.Statement) {
	fmt.Println(s.Tenant, s.Kind, s.Table, "rows:", s.Rows, "at:", s.Shard, s.Node, "took:", s.Duration > 0)
}

func Example_observer() {
	ctx := context.Background()
	db, err := gorm.Open(postgres.Open(legacy()), &gorm.Config{})
	check(err)
	p := tenantplugin.New(tenantplugin.WithObserver(printer{}))
	check(db.Use(p))
	_, err = p.Registry().Adopt(ctx, tenant.Spec{ID: "old", Schema: "old_customer"})
	check(err)

	check(db.WithContext(tenant.NewContext(ctx, "old")).Find(&[]Invoice{}).Error)

	check(p.Close())
	// Output:
	// old read invoices rows: 2 at: default primary took: true
}
