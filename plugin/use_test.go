package tenantplugin_test

import (
	"errors"
	"fmt"
	"log"
	"strings"
	"sync"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// TestUseIsSilent: GORM warns of a dialector that cannot translate errors, so
// ours must not hide that it can.
func TestUseIsSilent(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		var said strings.Builder
		w := newWorldWith(t, s, &gorm.Config{
			TranslateError: true,
			Logger:         logger.New(log.New(&said, "", 0), logger.Config{LogLevel: logger.Warn}),
		}, func(*postgres.Config) {})
		if said.Len() > 0 {
			t.Errorf("Use said: %s", said.String())
		}
		err := w.as(t, "a").Create(&User{ID: 1}).Error
		if err == nil {
			err = w.as(t, "a").Create(&User{ID: 1}).Error
		}
		if !errors.Is(err, gorm.ErrDuplicatedKey) {
			t.Errorf("a duplicate: %v", err)
		}
	})
}

// Tag has an index of the kind that GORM's AutoMigrate notes in the parsed model.
type Tag struct {
	ID   uint
	Name string `gorm:"uniqueIndex"`
}

// Tests that make a tenant each, and an application's sign-ups, do so at once.
// The race detector watches.
func TestTenantsCreatedAtOnce(t *testing.T) {
	t.Parallel()
	db, err := gorm.Open(postgres.Open(tenantplugin.Database(t, pgtest.Any(t))), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	p := tenantplugin.New(tenantplugin.WithModels(&Tag{}))
	if err := db.Use(p); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var all sync.WaitGroup
	for i := range 8 {
		id := tenant.ID(fmt.Sprintf("tenant-%d", i))
		all.Go(func() {
			_, err := p.Registry().Create(t.Context(), tenant.Spec{ID: id})
			if err == nil {
				err = db.WithContext(tenant.NewContext(t.Context(), id)).Create(&Tag{Name: string(id)}).Error
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
