package tenantplugin_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/plugin/dbresolver"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestContextHazards(t *testing.T) {
	eachHazard(t, []hazard{
		{"Connection pins one connection", pinnedConnection},
		{"sessions keep or replace the tenant", sessions},
		{"generics without a tenant", generics},
		{"a hook that changes the tenant", hookChangesTenant},
		{"a preload through the root db", preloadThroughRoot},
		{"associations stay on the tenant's shard", associations},
		{"dbresolver.Use", resolverUse},
		{"a Row carries its error", rowCarriesError},
		{"ScanRows and ColumnTypes", scanRows},
		{"dry runs and subqueries need no tenant", dryRuns},
	})
}

func pinnedConnection(t *testing.T, w *world) {
	for _, id := range []tenant.ID{"a", "c"} {
		err := w.as(t, id).Connection(func(tx *gorm.DB) error {
			pids := map[int64]bool{}
			for range 5 {
				var pid int64
				if err := tx.Raw("select pg_backend_pid()").Scan(&pid).Error; err != nil {
					return err
				}
				pids[pid] = true
			}
			if len(pids) != 1 {
				t.Errorf("%d backends served one connection", len(pids))
			}
			sees(t, tx.Session(&gorm.Session{NewDB: true}), id)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func sessions(t *testing.T, w *world) {
	sees(t, w.as(t, "c").Where("name = 'nobody'").Session(&gorm.Session{NewDB: true}), "c")
	db := w.as(t, "c")
	sees(t, db.Session(&gorm.Session{Context: tenant.NewContext(t.Context(), "a")}), "a")
	if _, err := first(db.Session(&gorm.Session{Context: t.Context()})); !errors.Is(err, tenant.ErrNone) {
		t.Errorf("a context without a tenant: %v", err)
	}
}

func generics(t *testing.T, w *world) {
	if _, err := gorm.G[User](w.as(t, "a")).Where("id = 1").First(t.Context()); !errors.Is(err, tenant.ErrNone) {
		t.Errorf("the call's context has no tenant: %v", err)
	}
	u, err := gorm.G[User](w.db).Where("id = 1").First(tenant.NewContext(t.Context(), "b"))
	if err != nil || u.Name != "b" {
		t.Errorf("%+v, %v", u, err)
	}
}

func hookChangesTenant(t *testing.T, w *world) {
	err := w.as(t, "a").Create(plainHook("stray", func(tx *gorm.DB) error {
		tx.Statement.Context = tenant.NewContext(tx.Statement.Context, "b")
		return nil
	})).Error
	if !errors.Is(err, tenant.ErrMismatch) {
		t.Error(err)
	}
	var n int64
	if err := w.as(t, "b").Model(&User{}).Where("name = 'stray'").Count(&n).Error; err != nil || n != 0 {
		t.Errorf("%d rows, %v", n, err)
	}
}

// Without a transaction there is none that would refuse it.
func TestHooksThatChangeTheTenantWithoutATransaction(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, pgtest.Any(t), &gorm.Config{SkipDefaultTransaction: true}, func(*postgres.Config) {})
	to := func(ctx func(*gorm.DB) context.Context) func(*gorm.DB) error {
		return func(tx *gorm.DB) error {
			tx.Statement.Context = ctx(tx)
			return nil
		}
	}
	for name, change := range map[string]func(*gorm.DB) error{
		"another": to(func(*gorm.DB) context.Context { return tenant.NewContext(t.Context(), "b") }),
		"none":    to(func(*gorm.DB) context.Context { return context.Background() }),
		"shared":  to(func(tx *gorm.DB) context.Context { return tenant.Shared(tx.Statement.Context) }),
	} {
		if err := w.as(t, "a").Create(plainHook("stray", change)).Error; !errors.Is(err, tenant.ErrMismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := w.count(t, "a", "users where name = 'stray'") + w.count(t, "b", "users where name = 'stray'"); n != 0 {
		t.Errorf("%d rows", n)
	}
	same := to(func(tx *gorm.DB) context.Context { return context.WithValue(tx.Statement.Context, errRegret, 1) })
	ok(t, w.as(t, "a").Create(plainHook("home", same)).Error)
}

func preloadThroughRoot(t *testing.T, w *world) {
	err := w.as(t, "a").Preload("Pets", func(*gorm.DB) *gorm.DB { return w.db.Where("true") }).First(&User{}, 1).Error
	if !errors.Is(err, tenant.ErrNone) {
		t.Error(err)
	}
}

func associations(t *testing.T, w *world) {
	db := w.as(t, "c")
	u := User{Name: "owner", Pets: []Pet{{Name: "first"}}}
	if err := db.Create(&u).Error; err != nil {
		t.Fatal(err)
	}
	if err := db.Model(&u).Association("Pets").Append(&Pet{Name: "second"}); err != nil {
		t.Fatal(err)
	}
	var pets []Pet
	if err := db.Model(&User{ID: u.ID}).Association("Pets").Find(&pets); err != nil || len(pets) != 2 {
		t.Errorf("%v, %v", pets, err)
	}
	if n := w.count(t, "c", "pets where name in ('first', 'second')"); n != 2 {
		t.Errorf("%d pets on the tenant's shard", n)
	}
	if n := w.count(t, "a", "pets"); n != 1 {
		t.Errorf("the other shard has %d pets", n)
	}
}

func resolverUse(t *testing.T, w *world) {
	var n int64
	for _, name := range []string{"nosuch", "s2"} {
		db := func() *gorm.DB { return w.as(t, "a").Clauses(dbresolver.Use(name)) }
		for what, run := range map[string]func() error{
			"First":       func() error { return db().First(&User{}).Error },
			"Create":      func() error { return db().Create(&User{Name: "x"}).Error },
			"Exec":        func() error { return db().Exec("select 1").Error },
			"Row":         func() error { return db().Model(&User{}).Select("id").Row().Scan(&n) },
			"Begin":       func() error { return db().Begin().Error },
			"Transaction": func() error { return db().Transaction(func(*gorm.DB) error { return nil }) },
			"in a transaction": func() error {
				return w.as(t, "a").Transaction(func(tx *gorm.DB) error {
					return tx.Clauses(dbresolver.Use(name)).First(&User{}).Error
				})
			},
		} {
			if err := run(); err == nil || strings.Count(err.Error(), "dbresolver.Use") != 1 {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
	w.unused(t)
}

// unused fails if the application's handle has not got back every connection.
func (w *world) unused(t *testing.T) {
	t.Helper()
	handle, err := w.db.DB()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connections to come back", func() bool { return handle.Stats().InUse == 0 })
}

func rowCarriesError(t *testing.T, w *world) {
	var n int
	for _, db := range []*gorm.DB{w.db, w.db.Clauses(dbresolver.Read), w.db.Clauses(dbresolver.Write)} {
		if err := db.Model(&User{}).Select("id").Row().Scan(&n); !errors.Is(err, tenant.ErrNone) {
			t.Errorf("Row: %v", err)
		}
		if rows, err := db.Raw("select 1").Rows(); !errors.Is(err, tenant.ErrNone) {
			t.Errorf("Rows: %v", err)
			rows.Close()
		}
	}
	for _, clause := range []clause.Expression{dbresolver.Read, dbresolver.Write} {
		db := w.as(t, "a").Table("tenant_b.users").Clauses(clause)
		if err := db.Select("id").Row().Scan(&n); !errors.Is(err, tenant.ErrForbidden) {
			t.Errorf("a Row of a foreign table: %v", err)
		}
		err := w.db.Connection(func(tx *gorm.DB) error { return tx.Clauses(clause).Raw("select 1").Row().Scan(&n) })
		if !errors.Is(err, tenant.ErrNone) {
			t.Errorf("a Row of a connection: %v", err)
		}
	}
	w.fleet.place("b", "s1", tenant.StateSuspended)
	if err := w.as(t, "b").Raw("select 1").Row().Scan(&n); !errors.Is(err, tenant.ErrSuspended) {
		t.Error(err)
	}
}

func scanRows(t *testing.T, w *world) {
	db := w.as(t, "c")
	rows, err := db.Model(&User{}).Rows()
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil || len(types) != 2 || types[0].DatabaseTypeName() != "INT8" || types[1].DatabaseTypeName() != "TEXT" {
		t.Errorf("%v, %v", types, err)
	}
	var u User
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	if err := w.db.ScanRows(rows, &u); err != nil || u.Name != "c" {
		t.Errorf("%+v, %v", u, err)
	}
	columns, err := db.Migrator().ColumnTypes(&User{})
	if err != nil || len(columns) != 2 {
		t.Fatalf("%v, %v", columns, err)
	}
	for _, c := range columns { // in no order
		if primary, _ := c.PrimaryKey(); primary != (c.Name() == "id") {
			t.Errorf("%s is the primary key: %t", c.Name(), primary)
		}
	}
}

func dryRuns(t *testing.T, w *world) {
	sql := w.db.ToSQL(func(tx *gorm.DB) *gorm.DB { return tx.First(&User{}, 1) })
	if !strings.Contains(sql, `FROM "users"`) {
		t.Error(sql)
	}
	var u User
	sub := w.db.Model(&User{}).Select("id").Where("name = ?", "a")
	if err := w.as(t, "a").Where("id in (?)", sub).First(&u).Error; err != nil || u.Name != "a" {
		t.Errorf("%+v, %v", u, err)
	}
}
