package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/api"
	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/model"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Database is GORM with the tenancy plugin, and the limits of its tenants.
type Database struct {
	*gorm.DB
	Plugin   *tenantplugin.Plugin
	Governor *quota.Governor
}

// Close closes the connections. The registry stays open.
func (d *Database) Close() error {
	defer d.Governor.Stop()
	return d.Plugin.Close()
}

// leakAfter is longer than any request may take.
const leakAfter = 30 * time.Second

// OpenDatabase opens GORM as any application does, and adds the plugin, with reg's
// tenants, shards and limits.
func OpenDatabase(ctx context.Context, dsn string, reg *registry.Registry, m *Metrics, log *slog.Logger) (_ *Database, err error) {
	limits, err := quota.New(quota.Config{Source: reg, Logger: log})
	if err != nil {
		return nil, err
	}
	if err := limits.Start(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			limits.Stop()
		}
	}()
	db, err := openPlain(dsn, log)
	if err != nil {
		return nil, err
	}
	p := tenantplugin.New(
		tenantplugin.WithModels(model.All()...), tenantplugin.WithRegistry(reg), tenantplugin.WithLogger(log),
		tenantplugin.WithGovernor(limits), tenantplugin.WithLeakDetection(leakAfter),
		tenantplugin.WithMetrics(m.registry), tenantplugin.WithObserver(m),
		// The exemplars of slow statements lead to the access log.
		tenantplugin.WithTracing(api.RequestID, nil),
	)
	if err := db.Use(p); err != nil {
		return nil, errors.Join(err, closePlain(db))
	}
	return &Database{db, p, limits}, nil
}

// openPlain is all that there would be without tenants.
func openPlain(dsn string, log *slog.Logger) (*gorm.DB, error) {
	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{
		TranslateError: true,
		NowFunc:        func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) },
		Logger: logger.NewSlogLogger(log, logger.Config{
			SlowThreshold: time.Second, LogLevel: logger.Warn, IgnoreRecordNotFoundError: true, ParameterizedQueries: true,
		}),
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", tenant.RedactDSN(dsn), err)
	}
	return db, nil
}

func closePlain(db *gorm.DB) error {
	sqlDB, err := db.DB()
	if err != nil {
		return err
	}
	return sqlDB.Close()
}
