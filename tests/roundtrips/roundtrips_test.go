// Package roundtrips counts on the wire what a statement costs, with the
// plugin and without.
package roundtrips

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
	"github.com/gormtenancy/gormtenancy/tests/wirecount"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, goleak.Find)) }

type order struct {
	ID    int64
	Note  string
	Lines []line
}

type line struct {
	ID      int64
	OrderID int64
	Note    string
}

// operations with the round trips that plain GORM and the plugin must take,
// on connections that know the statements already.
var operations = []struct {
	name        string
	plain, ours int
	run         func(*gorm.DB) error
}{
	{"First", 1, 1, func(db *gorm.DB) error { return db.First(&order{}, 1).Error }},
	{"Find", 1, 1, func(db *gorm.DB) error { return db.Where("id < ?", 10).Find(&[]order{}).Error }},
	{"Raw", 1, 1, func(db *gorm.DB) error {
		var n int
		return db.Raw("select count(*) from orders where id > ?", 0).Scan(&n).Error
	}},
	{"Count", 1, 1, func(db *gorm.DB) error {
		var n int64
		return db.Model(&order{}).Count(&n).Error
	}},
	{"Preload", 2, 2, func(db *gorm.DB) error { return db.Preload("Lines").Find(&[]order{}, 1).Error }},
	{"Exec", 1, 1, func(db *gorm.DB) error { return db.Exec("update orders set note = note where id = 1").Error }},
	{"Create", 3, 2, func(db *gorm.DB) error { return db.Create(&order{Note: "x"}).Error }},
	{"Update", 3, 2, func(db *gorm.DB) error {
		return db.Model(&order{}).Where("id = ?", 1).Update("note", "y").Error
	}},
	{"Delete", 3, 2, func(db *gorm.DB) error { return db.Delete(&order{}, 999).Error }},
	{"empty transaction", 2, 0, func(db *gorm.DB) error { return transaction(db, 0) }},
	{"transaction of 1", 3, 2, func(db *gorm.DB) error { return transaction(db, 1) }},
	{"transaction of 3", 5, 4, func(db *gorm.DB) error { return transaction(db, 3) }},
	{"transaction of 10", 12, 11, func(db *gorm.DB) error { return transaction(db, 10) }},
}

func transaction(db *gorm.DB, statements int) error {
	return db.Transaction(func(tx *gorm.DB) error {
		for range statements {
			if err := tx.First(&order{}, 1).Error; err != nil {
				return err
			}
		}
		return nil
	})
}

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		proxy, dsn, err := wirecount.Through(t.Context(), s.Database(t), wirecount.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(proxy.Close)
		plain := open(t, dsn)
		if err := plain.AutoMigrate(&order{}, &line{}); err != nil {
			t.Fatal(err)
		}
		if err := plain.Create(&order{Note: "one", Lines: []line{{Note: "a"}}}).Error; err != nil {
			t.Fatal(err)
		}
		ours := withPlugin(t, dsn)
		t.Logf("%-20s %6s %6s", "", "plain", "ours")
		for _, o := range operations {
			p, q := count(t, proxy, plain, o.run), count(t, proxy, ours, o.run)
			t.Logf("%-20s %6d %6d", o.name, p, q)
			if p != o.plain || q != o.ours {
				t.Errorf("%s: %d round trips plain, %d ours, want %d and %d", o.name, p, q, o.plain, o.ours)
			}
		}
	})
}

// count runs an operation until every statement is prepared, then once more,
// counted.
func count(t *testing.T, proxy *wirecount.Proxy, db *gorm.DB, run func(*gorm.DB) error) int {
	t.Helper()
	for range 2 {
		if err := run(db); err != nil {
			t.Fatal(err)
		}
	}
	before := proxy.Count()
	if err := run(db); err != nil {
		t.Fatal(err)
	}
	return proxy.Count().Sub(before).RoundTrips
}

func open(t *testing.T, dsn string) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	handle, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	handle.SetMaxOpenConns(1)
	t.Cleanup(func() { handle.Close() })
	return db
}

// withPlugin opens dsn with the plugin in its simplest form, and returns it in
// the context of a new tenant.
func withPlugin(t *testing.T, dsn string) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	p := tenantplugin.New(tenantplugin.WithModels(&order{}, &line{}))
	if err := db.Use(p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := p.Registry().Create(t.Context(), tenant.Spec{ID: "acme"}); err != nil {
		t.Fatal(err)
	}
	db = db.WithContext(tenant.NewContext(context.WithoutCancel(t.Context()), "acme"))
	if err := db.Create(&order{Note: "one", Lines: []line{{Note: "a"}}}).Error; err != nil {
		t.Fatal(err)
	}
	return db
}
