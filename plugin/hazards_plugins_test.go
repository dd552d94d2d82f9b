package tenantplugin_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/plugin/dbresolver"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// A session from before Use may have the pool that Use has closed. The
// callbacks give its statements the new one; a transaction asks no callback.
func TestSessionFromBeforeUse(t *testing.T) {
	t.Parallel()
	db, err := gorm.Open(postgres.Open(tenantplugin.Database(t, pgtest.Any(t))), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	before := db.WithContext(t.Context())
	p := tenantplugin.New(tenantplugin.WithModels(&User{}, &Pet{}))
	if err := db.Use(p); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := before.Exec("select 1").Error; !errors.Is(err, tenant.ErrNone) {
		t.Errorf("a session from before Use went round the plugin: %v", err)
	}
	for _, id := range []tenant.ID{"acme", "globex"} {
		if _, err := p.Registry().Create(t.Context(), tenant.Spec{ID: id}); err != nil {
			t.Fatal(err)
		}
		own := before.WithContext(tenant.NewContext(t.Context(), id))
		ok(t, own.Create(&User{Name: string(id)}).Error)
		sees(t, own, id)
		var n int
		ok(t, own.Raw("select count(*) from users").Row().Scan(&n))
		if n != 1 {
			t.Errorf("%s has %d rows", id, n)
		}
		for what, err := range map[string]error{
			"Begin":       own.Begin().Error,
			"Transaction": own.Transaction(func(*gorm.DB) error { t.Error("it ran"); return nil }),
			"Connection":  own.Connection(func(*gorm.DB) error { t.Error("it ran"); return nil }),
		} {
			if err == nil || err.Error() != "sql: database is closed" {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// All sessions share one store of prepared statements. What an application
// prepared before Use must neither be run again nor be in the way.
func TestPreparedBeforeUse(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		db, err := gorm.Open(postgres.Open(tenantplugin.Database(t, pgtest.Any(t))), &gorm.Config{Logger: logger.Discard, PrepareStmt: always})
		ok(t, err)
		where := func(db *gorm.DB) (schema string, err error) {
			return schema, db.Raw("select current_schema()").Scan(&schema).Error
		}
		before := prepared(db)
		if schema, err := where(before); err != nil || schema != "public" {
			t.Fatalf("%s, %v", schema, err)
		}
		p := tenantplugin.New()
		ok(t, db.Use(p))
		_, err = p.Registry().Create(t.Context(), tenant.Spec{ID: "acme"})
		ok(t, err)
		ctx := tenant.NewContext(t.Context(), "acme")
		for name, db := range map[string]*gorm.DB{"before": before, "plain": db, "prepared": prepared(db)} {
			for range 2 {
				if schema, err := where(db.WithContext(ctx)); err != nil || schema != "tenant_acme" {
					t.Errorf("always %t, %s: ran in %q, %v", always, name, schema, err)
				}
			}
			if schema, err := where(db.WithContext(t.Context())); !errors.Is(err, tenant.ErrNone) {
				t.Errorf("always %t, %s, without a tenant: ran in %q, %v", always, name, schema, err)
			}
		}
		ok(t, p.Close())
	}
}

// counting is another plugin, used before ours.
type counting struct{ n int }

func (c *counting) Name() string { return "counting" }

func (c *counting) Initialize(*gorm.DB) error { c.n++; return nil }

func TestOtherPluginsAndConfigs(t *testing.T) {
	t.Parallel()
	dsn := tenantplugin.Database(t, pgtest.Any(t))
	gc := &gorm.Config{Logger: logger.Discard}
	db, err := gorm.Open(postgres.Open(dsn), gc)
	if err != nil {
		t.Fatal(err)
	}
	other := &counting{}
	if err := db.Use(other); err != nil {
		t.Fatal(err)
	}
	p := tenantplugin.New()
	if err := db.Use(p); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if other.n != 1 {
		t.Errorf("another plugin was initialised %d times", other.n)
	}
	if _, err := gorm.Open(postgres.Open(dsn), gc); err == nil {
		t.Error("one gorm.Config served two gorm.Open")
	}
	if err := db.Exec("select 1").Error; !errors.Is(err, tenant.ErrNone) {
		t.Errorf("after that: %v", err)
	}
	stillServes(t, db, p)
	if err := db.Use(tenantplugin.New()); !errors.Is(err, gorm.ErrRegistered) {
		t.Errorf("two plugins: %v", err)
	}
	if err := db.Use(dbresolver.Register(dbresolver.Config{})); !errors.Is(err, gorm.ErrRegistered) {
		t.Errorf("dbresolver after the plugin: %v", err)
	}
	second := openPlain(t, dsn)
	if err := second.Use(dbresolver.Register(dbresolver.Config{})); err != nil {
		t.Fatal(err)
	}
	if err := second.Use(tenantplugin.New()); err == nil || !strings.Contains(err.Error(), "AddShard") {
		t.Errorf("dbresolver before the plugin: %v", err)
	}
}

// stillServes uses the pools of the statement and of the Config.
func stillServes(t *testing.T, db *gorm.DB, p *tenantplugin.Plugin) {
	t.Helper()
	if _, err := p.Registry().Create(t.Context(), tenant.Spec{ID: "acme"}); err != nil {
		t.Fatal(err)
	}
	db = db.WithContext(tenant.NewContext(t.Context(), "acme"))
	if err := db.AutoMigrate(&User{}, &Pet{}); err != nil {
		t.Fatal(err)
	}
	res := db.Create(&User{Name: "acme"}) // its default transaction takes the Config's pool
	if res.Error != nil {
		t.Fatal(res.Error)
	}
	res = res.Session(&gorm.Session{NewDB: true})
	sees(t, res, "acme")
	if err := res.Transaction(func(tx *gorm.DB) error { sees(t, tx, "acme"); return nil }); err != nil {
		t.Error(err)
	}
}

// Of the callbacks that want to run before all others, the last registered
// does. Wherever ours comes, nothing runs without a tenant.
func TestCallbackOrder(t *testing.T) {
	t.Parallel()
	dsn := tenantplugin.Database(t, pgtest.Any(t))
	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	var ran []string
	note := func(name string) func(*gorm.DB) { return func(*gorm.DB) { ran = append(ran, name) } }
	if err := db.Callback().Create().Before("*").Register("earlier", note("earlier")); err != nil {
		t.Fatal(err)
	}
	p := tenantplugin.New(tenantplugin.WithModels(&User{}))
	if err := db.Use(p); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := db.Callback().Create().Before("*").Register("later", note("later")); err != nil {
		t.Fatal(err)
	}
	err = db.Session(&gorm.Session{Context: t.Context(), SkipDefaultTransaction: true}).Create(plainHook("x", func(*gorm.DB) error { ran = append(ran, "hook"); return nil })).Error
	if !errors.Is(err, tenant.ErrNone) {
		t.Error(err)
	}
	if got := strings.Join(ran, " "); got != "later earlier" {
		t.Errorf("without a tenant ran %q", got)
	}
	if _, err := p.Registry().Create(t.Context(), tenant.Spec{ID: "acme"}); err != nil {
		t.Fatal(err)
	}
	ctx := tenant.NewContext(t.Context(), "acme")
	if err := db.WithContext(ctx).Create(&User{Name: "acme"}).Error; err != nil {
		t.Fatal(err)
	}
	sees(t, db.WithContext(ctx), "acme")
	if err := db.WithContext(ctx).Clauses(dbresolver.Use("x")).Create(&User{Name: "y"}).Error; err == nil {
		t.Error("dbresolver.Use was not refused")
	}
}

func TestZeroConfiguration(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		db, err := gorm.Open(postgres.Open(tenantplugin.Database(t, s)), &gorm.Config{Logger: logger.Discard})
		if err != nil {
			t.Fatal(err)
		}
		p := tenantplugin.New(tenantplugin.WithModels(&User{}, &Pet{}))
		if err := db.Use(p); err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for i, id := range []tenant.ID{"acme", "globex"} {
			if _, err := p.Registry().Create(t.Context(), tenant.Spec{ID: id}); err != nil {
				t.Fatal(err)
			}
			ctx := tenant.NewContext(t.Context(), id)
			if err := db.WithContext(ctx).Create(&User{Name: fmt.Sprint(id), Pets: make([]Pet, i)}).Error; err != nil {
				t.Fatal(err)
			}
			sees(t, db.WithContext(ctx), id)
		}
		if err := p.Registry().Suspend(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		if _, err := first(db.WithContext(tenant.NewContext(t.Context(), "acme"))); !errors.Is(err, tenant.ErrSuspended) {
			t.Error(err)
		}
	})
}
