package tenantplugin_test

import (
	"errors"
	"log"
	"strings"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
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
