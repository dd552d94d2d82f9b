package tenantplugin_test

import (
	"errors"
	"fmt"
	"strings"
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

const (
	firstFile  = "-- +goose Up\nCREATE TYPE mood AS ENUM ('well', 'ill');\nCREATE TABLE users (id bigserial PRIMARY KEY, name text UNIQUE, mood mood);\n"
	secondFile = "-- +goose Up\nINSERT INTO users (name, mood) VALUES ('first', 'well');\nCREATE TABLE pets (id bigserial PRIMARY KEY, user_id bigint REFERENCES users, name text);\n"
	bareFile   = "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY pets_name ON pets (name);\n"
)

// New tenants get what goose makes of the files: in one message where that can be,
// file by file where one says NO TRANSACTION.
func TestNewTenantsAreAtTheLatestVersion(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		for name, fsys := range map[string]fstest.MapFS{
			"one message":  {"00001_a.sql": {Data: []byte(firstFile)}, "00004_b.sql": {Data: []byte(secondFile)}},
			"file by file": {"00001_a.sql": {Data: []byte(firstFile)}, "00003_b.sql": {Data: []byte(secondFile)}, "00004_c.sql": {Data: []byte(bareFile)}},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := migratedBy(t, tenantplugin.Database(t, s), fsys)
				var made [2]string
				for i := range made {
					id := tenant.ID(fmt.Sprint("t", i))
					got, err := w.plugin.Registry().Create(t.Context(), tenant.Spec{ID: id})
					ok(t, err)
					if got.Version != 4 {
						t.Errorf("version %d", got.Version)
					}
					ok(t, w.as(t, id).Raw(structureSQL).Scan(&made[i]).Error)
					var first User
					ok(t, w.as(t, id).First(&first).Error, w.as(t, id).Create(&Pet{UserID: first.ID, Name: "x"}).Error)
					var versions []int64
					ok(t, w.as(t, id).Raw("select version_id from goose_db_version order by id").Scan(&versions).Error)
					if len(versions) != len(fsys)+1 || versions[len(fsys)] != 4 {
						t.Errorf("goose's table says %v", versions)
					}
				}
				if made[0] != made[1] || !strings.Contains(made[0], "goose_db_version") {
					t.Errorf("%s\n%s", made[0], made[1])
				}
				if countTemp(t, w) != 0 {
					t.Error("temporary relations")
				}
			})
		}
	})
}

// What fails leaves no tenant, and says which file.
func TestMigrationsThatFail(t *testing.T) {
	t.Parallel()
	s := pgtest.Any(t)
	for name, fsys := range map[string]fstest.MapFS{
		"one message":  {"1_a.sql": {Data: []byte(firstFile)}, "2_b.sql": {Data: []byte("-- +goose Up\nSELECT 1/0;")}},
		"file by file": {"1_a.sql": {Data: []byte(firstFile)}, "2_b.sql": {Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1/0;")}},
	} {
		w := migratedBy(t, tenantplugin.Database(t, s), fsys)
		if _, err := w.plugin.Registry().Create(t.Context(), tenant.Spec{ID: "acme"}); code(err) != "22012" {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := w.plugin.Registry().Get(t.Context(), "acme"); !errors.Is(err, tenant.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
		var schemas int64
		ok(t, w.db.WithContext(tenant.Shared(t.Context())).Raw("select count(*) from pg_namespace where nspname = 'tenant_acme'").Scan(&schemas).Error)
		if schemas != 0 {
			t.Errorf("%s: the schema was left", name)
		}
	}
}

func TestBadMigrations(t *testing.T) {
	t.Parallel()
	dsn := tenantplugin.Database(t, pgtest.Any(t))
	for what, opts := range map[string][]tenantplugin.Option{
		"no set":     {tenantplugin.WithMigrationSet(nil)},
		"no files":   {tenantplugin.WithMigrations(fstest.MapFS{})},
		"both":       {tenantplugin.WithMigrations(fstest.MapFS{"1_a.sql": {Data: []byte(firstFile)}}), tenantplugin.WithModels(&User{})},
		"no section": {tenantplugin.WithMigrations(fstest.MapFS{"1_a.sql": {Data: []byte("select 1;")}})},
	} {
		db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
		ok(t, err)
		handle, err := db.DB()
		ok(t, err)
		if err := db.Use(tenantplugin.New(opts...)); err == nil || what == "no files" && !errors.Is(err, migrations.ErrNoMigrations) {
			t.Errorf("%s: %v", what, err)
		}
		ok(t, handle.Close())
	}
}

func migratedBy(t *testing.T, dsn string, fsys fstest.MapFS) *world {
	t.Helper()
	w := &world{dsn: [2]string{dsn}}
	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
	ok(t, err)
	set, err := migrations.Load(fsys)
	ok(t, err)
	w.db, w.plugin = db, tenantplugin.New(tenantplugin.WithMigrationSet(set))
	ok(t, db.Use(w.plugin))
	t.Cleanup(func() { ok(t, w.plugin.Close()) })
	return w
}
