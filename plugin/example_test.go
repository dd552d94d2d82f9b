package tenantplugin_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/plugin/dbresolver"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// exampleTB lets an example have a test's database.
type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (*exampleTB) Helper()            {}
func (*exampleTB) Log(args ...any)    { fmt.Println(args...) }
func (*exampleTB) Fatal(args ...any)  { panic(fmt.Sprint(args...)) }
func (e *exampleTB) Cleanup(f func()) { e.cleanups = append(e.cleanups, f) }

func (e *exampleTB) done() {
	for _, f := range e.cleanups {
		f()
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

type Invoice struct {
	ID     int64
	Amount int64
}

func Example() {
	e := &exampleTB{}
	defer e.done()
	ctx, dsn := context.Background(), pgtest.Any(e).Database(e)

	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
	check(err)
	p := tenantplugin.New(tenantplugin.WithModels(&Invoice{}))
	check(db.Use(p))
	defer p.Close()
	for _, id := range []tenant.ID{"acme", "globex"} {
		_, err := p.Registry().Create(ctx, tenant.Spec{ID: id})
		check(err)
	}

	acme, globex := tenant.NewContext(ctx, "acme"), tenant.NewContext(ctx, "globex")
	check(db.WithContext(acme).Create(&Invoice{Amount: 12}).Error)

	var n int64
	check(db.WithContext(acme).Model(&Invoice{}).Count(&n).Error)
	fmt.Println("acme:", n)
	check(db.WithContext(globex).Model(&Invoice{}).Count(&n).Error)
	fmt.Println("globex:", n)
	err = db.WithContext(ctx).Model(&Invoice{}).Count(&n).Error
	fmt.Println("nobody:", errors.Is(err, tenant.ErrNone))
	// Output:
	// acme: 1
	// globex: 0
	// nobody: true
}

// printer is an Observer.
type printer struct{}

func (printer) ObserveStatement(_ context.Context, s tenantplugin.Statement) {
	fmt.Println(s.Tenant, s.Kind, s.Table, s.Rows, s.Shard, s.Node)
}

func ExampleWithObserver() {
	e := &exampleTB{}
	defer e.done()
	ctx, dsn := context.Background(), pgtest.Any(e).Database(e)

	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
	check(err)
	p := tenantplugin.New(tenantplugin.WithObserver(printer{}))
	check(db.Use(p))
	defer p.Close()
	_, err = p.Registry().Create(ctx, tenant.Spec{ID: "acme"})
	check(err)

	db = db.WithContext(tenant.NewContext(ctx, "acme"))
	check(db.Exec("create table invoices (id bigserial primary key, amount bigint)").Error)
	check(db.Create(&[]Invoice{{Amount: 12}, {Amount: 30}}).Error)
	check(db.Clauses(dbresolver.Write).Find(&[]Invoice{}).Error) // on the primary, whatever replicas there are
	// Output:
	// acme ddl  0 default primary
	// acme write invoices 2 default primary
	// acme read invoices 2 default primary
}
