package tenantplugin_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/utils/tests"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestNilOptions(t *testing.T) {
	t.Parallel()
	db, err := gorm.Open(postgres.Open(tenantplugin.Database(t, pgtest.Any(t))), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	p := tenantplugin.New(
		nil, tenantplugin.WithModels(), tenantplugin.WithRegistry(nil), tenantplugin.WithDirectory(nil), tenantplugin.WithObserver(nil),
		tenantplugin.WithLogger(nil), tenantplugin.WithSearchPath(), tenantplugin.WithSharedSchema(""), tenantplugin.WithRegion(""),
		tenantplugin.WithPoolLimits(0, 0, 0), tenantplugin.WithPoolLimits(-1, -1, -1),
	)
	if err := p.Close(); err != nil || p.Stats() != nil || p.Registry() != nil {
		t.Errorf("before Use: %v, %v, %v", err, p.Stats(), p.Registry())
	}
	if err := db.Use(p); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Registry().Create(t.Context(), tenant.Spec{ID: "acme"}); err != nil {
		t.Fatal(err)
	}
	db = db.WithContext(tenant.NewContext(t.Context(), "acme"))
	if err := errors.Join(db.AutoMigrate(&User{}, &Pet{}), db.Create(&User{Name: "acme"}).Error); err != nil {
		t.Fatal(err)
	}
	sees(t, db, "acme")
}

func TestContradictions(t *testing.T) {
	t.Parallel()
	f := &fleet{}
	for name, opts := range map[string][]tenantplugin.Option{
		"models without a registry": {tenantplugin.WithDirectory(f), tenantplugin.WithModels(&User{})},
		"region without a registry": {tenantplugin.WithDirectory(f), tenantplugin.WithRegion("eu")},
		"two sources of tenants":    {tenantplugin.WithDirectory(f), tenantplugin.WithRegistry(&registry.Registry{})},
		"a bad shared schema":       {tenantplugin.WithSharedSchema(`x", public`)},
		"a bad visible schema":      {tenantplugin.WithSearchPath("pg_catalog; drop")},
		"a pooler and a cache":      {tenantplugin.WithDirectory(f), tenantplugin.WithTransactionPooler(), tenantplugin.WithLogger(nil)},
	} {
		db := openPlain(t, tenantplugin.Database(t, pgtest.Any(t)))
		before := db.ConnPool
		p := tenantplugin.New(opts...)
		err := db.Use(p)
		if name == "a pooler and a cache" && err == nil {
			// It shows when the first connection is wanted.
			err = db.WithContext(tenant.Shared(t.Context())).Exec("select 1").Error
			defer p.Close()
		} else if db.ConnPool != before {
			t.Errorf("%s: the failed Use took the pool away", name)
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Closed is closed: an error each time, at every entrance.
func TestClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pgtest.Any(t))
	sees(t, w.as(t, "a"), "a")
	handle, err := w.db.DB()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := errors.Join(w.plugin.Close(), handle.Close()); err != nil {
			t.Error(err)
		}
	}
	db := w.as(t, "a")
	for what, err := range map[string]error{
		"First":      db.First(&User{}).Error,
		"Create":     db.Create(&User{}).Error,
		"Row":        db.Raw("select 1").Row().Scan(new(int)),
		"Begin":      db.Begin().Error,
		"Connection": db.Connection(func(*gorm.DB) error { return nil }),
		"prepared":   prepared(db).First(&User{}).Error,
		"migrate":    db.AutoMigrate(&User{}),
		"handle":     handle.Ping(),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if len(w.plugin.Stats()) != 0 {
		t.Errorf("pools are open: %+v", w.plugin.Stats())
	}
}

// A nil context is one without a tenant, wherever GORM lets it through.
func TestNilContext(t *testing.T) {
	t.Parallel()
	n := &notebook{}
	w := newWorld(t, pgtest.Any(t), tenantplugin.WithObserver(n))
	db := w.db.Session(&gorm.Session{NewDB: true, Context: t.Context()})
	db.Statement.Context = nil
	for what, run := range map[string]func() error{
		"First":  func() error { return db.First(&User{}).Error },
		"Create": func() error { return db.Create(&User{}).Error },
		"Exec":   func() error { return db.Exec("select 1").Error },
		"Row":    func() error { return db.Raw("select 1").Row().Scan(new(int)) },
		"Begin":  func() error { return db.Begin().Error },
		"HasTable": func() error {
			if db.Migrator().HasTable(&User{}) {
				return nil
			}
			return tenant.ErrNone
		},
		"NewContext": func() error { return db.WithContext(tenant.NewContext(nil, "No Such")).First(&User{}).Error }, //nolint:staticcheck // on purpose
	} {
		err := run()
		if !errors.Is(err, tenant.ErrNone) && !errors.Is(err, tenant.ErrInvalidID) {
			t.Errorf("%s: %v", what, err)
		}
	}
	sees(t, w.db.WithContext(tenant.NewContext(nil, "a")), "a") //nolint:staticcheck // on purpose
}

// unwilling is a Directory that has nothing to say.
type unwilling struct{ *fleet }

var errDown = errors.New("down")

func (unwilling) Lookup(context.Context, tenant.ID) (tenant.Tenant, error) {
	return tenant.Tenant{}, errDown
}

func TestDirectoryFails(t *testing.T) {
	t.Parallel()
	db, err := gorm.Open(postgres.Open(tenantplugin.Database(t, pgtest.Any(t))), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	p := tenantplugin.New(tenantplugin.WithDirectory(unwilling{&fleet{}}))
	if err := db.Use(p); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	db = db.WithContext(tenant.NewContext(t.Context(), "acme"))
	for what, err := range map[string]error{
		"First": db.First(&User{}).Error, "Create": db.Create(&User{}).Error, "Begin": db.Begin().Error,
		"Row": db.Raw("select 1").Row().Scan(new(int)),
	} {
		if !errors.Is(err, errDown) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A Use that fails leaves the database as it was, and tells no password.
func TestUseFails(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]gorm.Dialector{
		"another dialect":        tests.DummyDialector{},
		"unreachable":            postgres.Open("postgres://app:secret@127.0.0.1:1/x?connect_timeout=1"),
		"the pool of no *sql.DB": postgres.New(postgres.Config{Conn: struct{ gorm.ConnPool }{}}),
	} {
		db, err := gorm.Open(open, &gorm.Config{Logger: logger.Discard, DisableAutomaticPing: true})
		ok(t, err)
		before := db.ConnPool
		p := tenantplugin.New()
		if err := db.Use(p); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
		if db.ConnPool != before {
			t.Errorf("%s: the failed Use took the pool away", name)
		}
		if err := p.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if handle, err := db.DB(); err == nil {
			ok(t, handle.Close())
		}
	}
}
