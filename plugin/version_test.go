package tenantplugin_test

import (
	"errors"
	"testing"
	"testing/fstest"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/migrations"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Code that needs a version gets an error from every way to the database, until the
// fleet was migrated.
func TestRequireVersion(t *testing.T) {
	t.Parallel()
	dsn := tenantplugin.Database(t, pgtest.Any(t))
	files := fstest.MapFS{"1_a.sql": {Data: []byte(firstFile)}}
	w := migratedBy(t, dsn, files)
	for _, id := range []tenant.ID{"acme", "globex"} {
		_, err := w.plugin.Registry().Create(t.Context(), tenant.Spec{ID: id})
		ok(t, err)
	}
	files["2_b.sql"] = &fstest.MapFile{Data: []byte(secondFile)}
	set, err := migrations.Load(files)
	ok(t, err)
	next, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
	ok(t, err)
	p := tenantplugin.New(tenantplugin.WithMigrations(files), tenantplugin.RequireVersion(set.Latest()))
	ok(t, next.Use(p))
	t.Cleanup(func() { ok(t, p.Close()) })

	ctx := tenant.NewContext(t.Context(), "acme")
	ways := func(db *gorm.DB) []error {
		var u []User
		var n int
		begun := db.Begin()
		all := []error{db.Find(&u).Error, db.Raw("select 1").Scan(&n).Error, db.Exec("select 1").Error, begun.Error}
		if begun.Error == nil {
			all = append(all, begun.Rollback().Error)
		}
		return all
	}
	for i, err := range ways(next.WithContext(ctx)) {
		if !errors.Is(err, tenant.ErrVersion) {
			t.Errorf("way %d: %v", i, err)
		}
	}
	ok(t, ways(next.WithContext(tenant.RequireVersion(ctx, 0)))...)
	ok(t, ways(w.db.WithContext(ctx))...)
	if err := w.db.WithContext(tenant.RequireVersion(ctx, 2)).Exec("select 1").Error; !errors.Is(err, tenant.ErrVersion) {
		t.Errorf("by the context: %v", err)
	}
	// The new code makes tenants with its own version, in whatever way.
	_, err = p.Registry().Create(t.Context(), tenant.Spec{ID: "initech"})
	ok(t, err)
	ok(t, ways(next.WithContext(tenant.NewContext(ctx, "initech")))...)
	rep, err := migrations.Run(t.Context(), p.Registry(), set, migrations.Options{})
	ok(t, err)
	if rep.Done() != 2 {
		t.Errorf("%v", rep)
	}
	ok(t, ways(next.WithContext(ctx))...)
}
