package tenantplugin

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/internal/pgdsn"
	"github.com/gormtenancy/gormtenancy/internal/pgscope"
	"github.com/gormtenancy/gormtenancy/internal/portable"
	"github.com/gormtenancy/gormtenancy/resolver"
)

// source is what the application opened GORM with.
type source struct {
	dialector *postgres.Dialector
	dsn       string
	// config is nil where connections cannot be opened anew (postgres.Config's
	// Conn, another driver): these go through foreign.
	config  *pgx.ConnConfig
	options []stdlib.OptionOpenDB
	foreign *sql.DB
}

func readDialector(db *gorm.DB) (*source, error) {
	var d *postgres.Dialector
	switch v := db.Dialector.(type) {
	case *postgres.Dialector:
		d = v
	case postgres.Dialector:
		d = &v
	default:
		return nil, fmt.Errorf("tenantplugin: dialect %q is not supported: open GORM with gorm.io/driver/postgres", db.Dialector.Name())
	}
	s := &source{dialector: d, dsn: d.Config.DSN}
	if d.Conn != nil || d.DriverName != "" && d.DriverName != "pgx" {
		var err error
		if s.foreign, err = db.DB(); err != nil {
			return nil, fmt.Errorf("tenantplugin: the connection pool of gorm.Open is no *sql.DB: %w", err)
		}
		return s, nil
	}
	config, err := pgdsn.Parse(s.dsn)
	if err != nil {
		return nil, fmt.Errorf("tenantplugin: gorm.Open: %w", err)
	}
	if d.PreferSimpleProtocol {
		config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	}
	s.config, s.options = config, d.OptionOpenDB
	return s, nil
}

// prepared returns the argument by which pgx prepares a statement.
func (s *source) prepared() any {
	if s.config == nil || s.config.StatementCacheCapacity == 0 {
		return nil
	}
	return pgx.QueryExecModeCacheStatement
}

// connect returns the function that makes each node's connector.
func (s *source) connect(visible []string, pooler bool) func(string, resolver.ScopeFunc) (driver.Connector, error) {
	return func(dsn string, scope resolver.ScopeFunc) (driver.Connector, error) {
		if s.config == nil {
			return s.portable(dsn, scope, visible)
		}
		return s.connector(dsn, nil, scope, visible, pooler)
	}
}

// connectAs is connect for strict mode.
func (s *source) connectAs(visible []string, pooler bool) resolver.ConnectAs {
	return func(dsn string, login resolver.LoginFunc, scope resolver.ScopeFunc) (driver.Connector, error) {
		return s.connector(dsn, login, scope, visible, pooler)
	}
}

func (s *source) connector(dsn string, login resolver.LoginFunc, scope resolver.ScopeFunc, visible []string, pooler bool) (driver.Connector, error) {
	config, err := s.configFor(dsn)
	if err != nil {
		return nil, err
	}
	return pgscope.NewConnector(pgscope.Config{
		Conn: config, Options: s.options, Scope: scope, Login: login, Visible: visible, Pooler: pooler,
	})
}

// strict reports why strict mode cannot work.
func (s *source) strict() error {
	switch {
	case s.config == nil:
		return errors.New("tenantplugin: WithRoles logs in by itself: open GORM with postgres.Open, not with a Conn or another driver")
	case s.config.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol:
		return errors.New("tenantplugin: WithRoles cannot use the simple protocol, in which a text may hold several statements: leave PreferSimpleProtocol out, and say default_query_exec_mode=exec where prepared statements do not work")
	}
	return nil
}

// configFor returns the connection settings of another database, with the
// modes and the time zone that the application opened its own with.
func (s *source) configFor(dsn string) (*pgx.ConnConfig, error) {
	if dsn == s.dsn || dsn == "" {
		return s.config.Copy(), nil
	}
	config, err := pgdsn.Parse(dsn)
	if err != nil {
		return nil, err
	}
	config.DefaultQueryExecMode = s.config.DefaultQueryExecMode
	config.StatementCacheCapacity = s.config.StatementCacheCapacity
	config.DescriptionCacheCapacity = s.config.DescriptionCacheCapacity
	for _, name := range []string{"timezone", "TimeZone", "time_zone", "application_name"} {
		if v, ok := s.config.RuntimeParams[name]; ok && config.RuntimeParams[name] == "" {
			config.RuntimeParams[name] = v
		}
	}
	return config, nil
}

// portable wraps the application's own pool. It is one database; a shard
// elsewhere cannot be reached through it.
func (s *source) portable(dsn string, scope resolver.ScopeFunc, visible []string) (driver.Connector, error) {
	if dsn != s.dsn {
		return nil, errors.New("a shard with a DSN of its own needs GORM opened with postgres.Open, not with a Conn or another driver")
	}
	return portable.NewConnector(s.foreign, scope, visible), nil
}

// carrySettings copies the pool settings that the application made before
// Use. database/sql has no getters for them but one.
func carrySettings(from, to *sql.DB) {
	if n := from.Stats().MaxOpenConnections; n > 0 {
		to.SetMaxOpenConns(n)
	}
	v := reflect.ValueOf(from).Elem()
	if n, ok := intField(v, "maxIdleCount"); ok && n != 0 {
		to.SetMaxIdleConns(int(n))
	}
	if d, ok := intField(v, "maxLifetime"); ok && d > 0 {
		to.SetConnMaxLifetime(time.Duration(d))
	}
	if d, ok := intField(v, "maxIdleTime"); ok && d > 0 {
		to.SetConnMaxIdleTime(time.Duration(d))
	}
}

func intField(v reflect.Value, name string) (int64, bool) {
	f := v.FieldByName(name)
	if !f.IsValid() || !f.CanInt() {
		return 0, false
	}
	return f.Int(), true
}

// withoutCancel keeps a clean-up from being cut short with its cause.
func withoutCancel(ctx context.Context) context.Context {
	if ctx == nil {
		return nil
	}
	return context.WithoutCancel(ctx)
}
