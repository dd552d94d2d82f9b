package tenantplugin_test

import (
	"fmt"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/migrations"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// thingV1 and thingV2 are one model, before and after.
type thingV1 struct {
	ID   uint
	Name string `gorm:"size:20"`
}

type thingV2 struct {
	ID    uint
	Name  string   `gorm:"size:40;index"`
	Price int64    `gorm:"not null;default:7"`
	Parts []partV2 `gorm:"foreignKey:ThingID"`
}

type partV2 struct {
	ID      uint
	ThingID uint
	Label   string `gorm:"uniqueIndex"`
}

// TableName implements GORM's Tabler.
func (thingV1) TableName() string { return "things" }

// TableName implements GORM's Tabler.
func (thingV2) TableName() string { return "things" }

// TableName implements GORM's Tabler.
func (partV2) TableName() string { return "parts" }

func usesModels(t *testing.T, dsn string, models ...any) *world {
	t.Helper()
	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
	ok(t, err)
	w := &world{dsn: [2]string{dsn}, db: db, plugin: tenantplugin.New(tenantplugin.WithModels(models...))}
	ok(t, db.Use(w.plugin))
	t.Cleanup(func() { ok(t, w.plugin.Close()) })
	return w
}

// Models that changed reach the tenants that were made by those of before, rows and
// all, and have a version of their own in every process.
func TestChangedModelsReachTheFleet(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		dsn := tenantplugin.Database(t, s)
		before := usesModels(t, dsn, &thingV1{})
		var old tenant.Tenant
		for i := range 5 {
			var err error
			old, err = before.plugin.Registry().Create(t.Context(), tenant.Spec{ID: tenant.ID(fmt.Sprint("t", i))})
			ok(t, err, before.as(t, old.ID).Create(&thingV1{Name: "old"}).Error)
		}
		ok(t, before.as(t, "t3").Exec("ALTER TABLE things ADD COLUMN price bigint NOT NULL DEFAULT 7").Error)

		after := usesModels(t, dsn, &thingV2{}, &partV2{})
		made, err := after.plugin.Registry().Create(t.Context(), tenant.Spec{ID: "new"})
		ok(t, err)
		if old.Version == 0 || made.Version <= old.Version {
			t.Errorf("versions %d, %d", old.Version, made.Version)
		}
		rep, err := migrations.Run(t.Context(), after.plugin.Registry(), after.plugin.Migrations(), migrations.Options{})
		ok(t, err)
		if rep.Counts[migrations.Migrated] != 5 {
			t.Errorf("%v", rep)
		}
		for i := range 5 {
			as := after.as(t, tenant.ID(fmt.Sprint("t", i)))
			var things []thingV2
			ok(t, as.Find(&things).Error, as.Create(&partV2{ThingID: 1, Label: "x"}).Error)
			if len(things) != 1 || things[0].Price != 7 || things[0].Name != "old" {
				t.Errorf("t%d: %v", i, things)
			}
			if as.Create(&partV2{ThingID: 99, Label: "y"}).Error == nil || as.Create(&partV2{ThingID: 1, Label: "x"}).Error == nil {
				t.Errorf("t%d: no foreign key, or no unique index", i)
			}
			if !as.Migrator().HasIndex(&thingV2{}, "Name") {
				t.Errorf("t%d has no index", i)
			}
		}
		again := usesModels(t, dsn, &thingV2{}, &partV2{})
		if v := again.plugin.Migrations().Latest(); v != made.Version {
			t.Errorf("another process has version %d of the same models, not %d", v, made.Version)
		}
		rep, err = migrations.Run(t.Context(), again.plugin.Registry(), again.plugin.Migrations(), migrations.Options{})
		ok(t, err)
		if rep.Total != 0 {
			t.Errorf("%v", rep)
		}
	})
}
