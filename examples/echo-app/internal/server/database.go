package server

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/model"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Database is GORM with the tenancy plugin.
type Database struct {
	*gorm.DB
	Plugin *tenantplugin.Plugin
}

// Close closes the connections. A registry that was given stays open.
func (d *Database) Close() error { return d.Plugin.Close() }

// OpenDatabase opens GORM as any application does, and adds the plugin. With
// reg nil, the database is control plane and only shard.
func OpenDatabase(dsn string, reg *registry.Registry, m *Metrics, log *slog.Logger) (*Database, error) {
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
	opts := []tenantplugin.Option{
		tenantplugin.WithModels(model.All()...), tenantplugin.WithObserver(m), tenantplugin.WithLogger(log),
	}
	if reg != nil {
		opts = append(opts, tenantplugin.WithRegistry(reg))
	}
	p := tenantplugin.New(opts...)
	if err := db.Use(p); err != nil {
		return nil, errors.Join(err, closePlain(db))
	}
	m.collectPools(p.Stats)
	return &Database{db, p}, nil
}

func closePlain(db *gorm.DB) error {
	sqlDB, err := db.DB()
	if err != nil {
		return err
	}
	return sqlDB.Close()
}
