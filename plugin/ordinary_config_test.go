package tenantplugin_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"testing"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Whatever an application opens GORM with, it works as before.
func TestOrdinaryConfigurations(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		gc gorm.Config
		pc postgres.Config
	}{
		"prepared":           {gc: gorm.Config{PrepareStmt: true, PrepareStmtMaxSize: 3, PrepareStmtTTL: time.Hour}},
		"without default tx": {gc: gorm.Config{SkipDefaultTransaction: true}},
		"simple protocol":    {pc: postgres.Config{PreferSimpleProtocol: true}},
		"limits": {gc: gorm.Config{
			DefaultContextTimeout: time.Minute, DefaultTransactionTimeout: time.Minute, CreateBatchSize: 2, QueryFields: true,
			AllowGlobalUpdate: true, DisableNestedTransaction: true, PropagateUnscoped: true, DisableAutomaticPing: true,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newApplicationWith(t, &c.gc, c.pc)
			for name, test := range map[string]func(*testing.T, *gorm.DB){
				"relations": relations, "batches": batches, "upsert": upsert, "hooks": hooks, "errors": translated, "start": start, "enum": enum,
			} {
				t.Run(name, func(t *testing.T) { test(t, a.tenant(t, tenant.ID(name))) })
			}
		})
	}
}

func TestNamingStrategy(t *testing.T) {
	t.Parallel()
	a := newApplicationWith(t, &gorm.Config{NamingStrategy: schema.NamingStrategy{
		TablePrefix: "app_", SingularTable: true, NameReplacer: strings.NewReplacer("Author", "Writer"),
	}}, postgres.Config{})
	db := a.tenant(t, "acme")
	ok(t, db.Create(&Author{Name: "x", Books: []Book{{Title: "one"}}, Languages: []Language{{Code: "en"}}, Notes: []Note{{Text: "n"}}}).Error)
	var found Author
	ok(t, db.Preload(clause.Associations).First(&found).Error)
	if len(found.Books) != 1 || len(found.Languages) != 1 || len(found.Notes) != 1 || found.Notes[0].OwnerType != "app_writer" {
		t.Errorf("%+v", found)
	}
	if m := db.Migrator(); !m.HasTable("app_writer") || !m.HasTable("app_book") || m.HasTable("authors") {
		t.Error("the tables have other names")
	}
}

// A prefix with a schema is the usual way to use one schema with GORM. With the
// plugin the schema comes from the tenant, so that it has to go.
func TestNamingStrategyWithSchema(t *testing.T) {
	t.Parallel()
	f := &fleet{tenants: map[tenant.ID]tenant.Tenant{}, shards: map[string]tenant.Shard{"s1": {Name: "s1"}}}
	f.place("acme", "s1", tenant.StateActive)
	dsn := tenantplugin.Database(t, pgtest.Any(t))
	ok(t, openPlain(t, dsn).Exec("create schema tenant_acme; create schema fixed; create schema common; create table fixed.users (id int, name text)").Error)
	for prefix, want := range map[string]error{"fixed.": tenant.ErrForbidden, "common.": nil} {
		db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard, NamingStrategy: schema.NamingStrategy{TablePrefix: prefix}})
		ok(t, err)
		p := tenantplugin.New(tenantplugin.WithDirectory(f), tenantplugin.WithSearchPath("common"))
		ok(t, db.Use(p))
		db = as(t, db, "acme")
		for what, err := range map[string]error{
			"AutoMigrate": db.AutoMigrate(&User{}), "Create": db.Create(&User{Name: "x"}).Error, "Find": db.Find(&[]User{}).Error,
		} {
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("%s, %s: %v", prefix, what, err)
			}
		}
		ok(t, p.Close())
	}
}

// What is only built is not run, and reads as without the plugin.
func TestDryRun(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, pgtest.Any(t), &gorm.Config{Logger: logger.New(log.New(io.Discard, "", 0), logger.Config{})}, func(*postgres.Config) {})
	plain := openPlain(t, w.dsn[0])
	for name, build := range map[string]func(*gorm.DB) *gorm.DB{
		"Table":  func(db *gorm.DB) *gorm.DB { return db.Table("other.users").Find(&[]User{}) },
		"First":  func(db *gorm.DB) *gorm.DB { return db.Joins("left join pets on true").First(&User{}, 1) },
		"Create": func(db *gorm.DB) *gorm.DB { return db.Create(&Pet{Name: "dry"}) },
		"Update": func(db *gorm.DB) *gorm.DB { return db.Model(&Pet{ID: 1}).Update("name", "dry") },
		"Delete": func(db *gorm.DB) *gorm.DB { return db.Delete(&Pet{}, 1) },
		"Exec":   func(db *gorm.DB) *gorm.DB { return db.Exec("delete from pets where id = ?", 1) },
		"Raw":    func(db *gorm.DB) *gorm.DB { return db.Raw("select ?", 1).Scan(new(int)) },
	} {
		for who, db := range map[string]*gorm.DB{"a": w.as(t, "a"), "nobody": w.db} {
			if got, want := db.ToSQL(build), plain.ToSQL(build); got != want {
				t.Errorf("%s, %s: %s\nwant %s", name, who, got, want)
			}
			dry := &gorm.Session{DryRun: true, SkipDefaultTransaction: who == "nobody"} // GORM begins it even then
			got, want := build(db.Session(dry)), build(plain.Session(dry))
			if fmt.Sprint(got.Error) != fmt.Sprint(want.Error) || got.Statement.SQL.String() != want.Statement.SQL.String() || fmt.Sprint(got.Statement.Vars) != fmt.Sprint(want.Statement.Vars) {
				t.Errorf("%s, %s: %v, %v", name, who, got.Statement.SQL.String(), got.Error)
			}
		}
	}
	if n := w.count(t, "a", "pets where name = 'a'"); n != 1 || w.count(t, "a", "pets") != 1 {
		t.Error("a dry run wrote")
	}
}

// counter is another plugin, which counts statements and does as others do.
type counter struct {
	name  string
	began int
	ended int
}

func (c *counter) Name() string { return c.name }

func (c *counter) Initialize(db *gorm.DB) error {
	begin, end := func(*gorm.DB) { c.began++ }, func(*gorm.DB) { c.ended++ }
	cb := db.Callback()
	return errors.Join(
		cb.Create().Before("gorm:create").Register(c.name+":begin", begin), cb.Create().After("gorm:create").Register(c.name+":end", end),
		cb.Query().Before("*").Register(c.name+":begin", begin), cb.Query().After("*").Register(c.name+":end", end),
		cb.Row().Before("gorm:row").Register(c.name+":begin", begin), cb.Row().After("gorm:row").Register(c.name+":end", end),
		cb.Raw().Before("gorm:raw").Register(c.name+":begin", begin), cb.Raw().After("gorm:raw").Register(c.name+":end", end),
	)
}

func TestOtherPluginsCount(t *testing.T) {
	t.Parallel()
	before, after := &counter{name: "before"}, &counter{name: "after"}
	a := newApplicationWith(t, &gorm.Config{Plugins: map[string]gorm.Plugin{"before": before}}, postgres.Config{})
	db := a.tenant(t, "acme")
	ok(t, a.db.Use(after))
	*before = counter{name: "before"}
	ok(t, db.Create(&Language{Code: "en"}).Error, db.First(&Language{}).Error, db.Exec("select 1").Error)
	ok(t, db.Raw("select 1").Row().Scan(new(int)))
	for _, c := range []*counter{before, after} {
		if c.began != 4 || c.ended != 4 {
			t.Errorf("%s counted %d begun and %d ended statements, not 4", c.name, c.began, c.ended)
		}
	}
}

// Shared tables are migrated where the application says so.
func TestSharedAutoMigrate(t *testing.T) {
	t.Parallel()
	a := newApplicationWith(t, &gorm.Config{}, postgres.Config{})
	db := a.db.WithContext(tenant.Shared(t.Context()))
	for range 2 {
		ok(t, db.AutoMigrate(&Extra{}))
	}
	if !db.Migrator().HasTable(&Extra{}) {
		t.Error("the shared table is not there")
	}
	if a.tenant(t, "acme").Migrator().HasTable(&Extra{}) {
		t.Error("a tenant has it")
	}
}
