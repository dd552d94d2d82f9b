package tenantplugin_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// structureSQL tells all of a schema but its name.
const structureSQL = `select string_agg(x, E'\n' order by x) from (
	select format('%s %s %s', relname, relkind, relpersistence) from pg_class where relnamespace = current_schema()::regnamespace
	union all select attrelid::regclass || '.' || attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull || ' ' || coalesce(pg_get_expr(adbin, adrelid), '')
		from pg_attribute join pg_class c on c.oid = attrelid left join pg_attrdef on adrelid = attrelid and adnum = attnum
		where relnamespace = current_schema()::regnamespace and attnum > 0
	union all select conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) from pg_constraint where connamespace = current_schema()::regnamespace
	union all select replace(indexdef, schemaname || '.', '') from pg_indexes where schemaname = current_schema()) s(x)`

type tag struct {
	ID    uint
	Label string `gorm:"index:,type:gin,expression:to_tsvector('simple'\\, label);comment:it's a label"`
	Users []User `gorm:"many2many:tagged"`
	Price string `gorm:"type:numeric(10,2);default:0;check:price >= 0"`
}

// The second tenant gets from the record what AutoMigrate made for the first.
func TestRecordedTablesAreTheSame(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		for name, mode := range sending {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w, statements := provisionedBy(t, tenantplugin.Database(t, s)+mode.dsn, &gorm.Config{PrepareStmt: mode.prepared, Logger: logger.Discard})
				var made [3]string
				for i := range made {
					id := tenant.ID(fmt.Sprint("t", i))
					before := statements.Load()
					_, err := w.plugin.Registry().Create(t.Context(), tenant.Spec{ID: id})
					ok(t, err)
					if n := statements.Load() - before; (n == 0) != (i > 0) {
						t.Errorf("tenant %d took %d statements of AutoMigrate", i, n)
					}
					ok(t, w.as(t, id).Raw(structureSQL).Scan(&made[i]).Error)
				}
				if made[0] == "" || made[0] != made[1] || made[0] != made[2] {
					t.Errorf("first:\n%s\nsecond:\n%s\nthird:\n%s", made[0], made[1], made[2])
				}
				if n := countTemp(t, w); n != 0 {
					t.Errorf("%d temporary relations", n)
				}
			})
		}
	})
}

// statementCounter is an Observer.
type statementCounter struct{ atomic.Int64 }

func (c *statementCounter) ObserveStatement(context.Context, tenantplugin.Statement) { c.Add(1) }

func provisionedBy(t *testing.T, dsn string, gc *gorm.Config) (*world, *statementCounter) {
	t.Helper()
	w, counter := &world{dsn: [2]string{dsn}}, &statementCounter{}
	db, err := gorm.Open(postgres.Open(dsn), gc)
	ok(t, err)
	w.db, w.plugin = db, tenantplugin.New(tenantplugin.WithModels(&User{}, &Pet{}, &tag{}), tenantplugin.WithObserver(counter))
	ok(t, db.Use(w.plugin))
	t.Cleanup(func() { ok(t, w.plugin.Close()) })
	return w, counter
}

func countTemp(t *testing.T, w *world) (n int64) {
	t.Helper()
	ok(t, w.db.WithContext(tenant.Shared(t.Context())).Raw("select count(*) from pg_class where relpersistence = 't'").Scan(&n).Error)
	return n
}

// A spare tenant has the models' tables; one that other models made is not taken.
func TestSparesHaveTheModelsTables(t *testing.T) {
	t.Parallel()
	s := pgtest.Any(t)
	dsn := tenantplugin.Database(t, s)
	reg, err := registry.Open(t.Context(), registry.Config{DSN: dsn, HomeShard: "home", SpareTenants: 1})
	ok(t, err)
	t.Cleanup(reg.Close)
	use := func(models ...any) *gorm.DB {
		db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
		ok(t, err)
		p := tenantplugin.New(tenantplugin.WithRegistry(reg), tenantplugin.WithModels(models...))
		ok(t, db.Use(p))
		t.Cleanup(func() { ok(t, p.Close()) })
		return db
	}
	spares := func() int {
		all, err := reg.List(t.Context(), registry.Filter{State: tenant.StateSpare})
		ok(t, err)
		return len(all)
	}
	first := use(&User{}, &Pet{})
	eventually(t, "a spare", func() bool { return spares() == 1 })
	made, err := reg.Create(t.Context(), tenant.Spec{ID: "one"})
	ok(t, err)
	if !strings.Contains(made.Schema, "spare") {
		t.Errorf("not a spare: %+v", made)
	}
	ok(t, first.WithContext(tenant.NewContext(t.Context(), "one")).Create(&User{Name: "x", Pets: []Pet{{Name: "y"}}}).Error)
	eventually(t, "a spare", func() bool { return spares() == 1 })
	second := use(&User{}, &Pet{}, &tag{})
	_, err = reg.Create(t.Context(), tenant.Spec{ID: "two"})
	ok(t, err)
	ok(t, second.WithContext(tenant.NewContext(t.Context(), "two")).Create(&tag{Label: "x", Price: "1"}).Error)
}
