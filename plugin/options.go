package tenantplugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gormtenancy/gormtenancy/metrics"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/resolver"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Option configures New. What is wrong with the options is Use's error.
type Option func(*options)

type options struct {
	models       []any
	migrations   *migrations.Set
	badFiles     error // of WithMigrations
	registry     *registry.Registry
	directory    resolver.Directory
	region       string
	sharedSchema string
	searchPath   []string
	observer     Observer
	governor     resolver.Governor
	registerer   prometheus.Registerer
	collector    *metrics.Collector
	traceID      func(context.Context) string
	annotate     func(context.Context, tenant.ID)
	logger       *slog.Logger
	pooler       bool
	roles        bool
	maxConns     int
	maxAge       time.Duration
	maxTenants   int
	minVersion   int64
	maxTotal     int
	maxPerServer int
	maxIdle      time.Duration
	leakAfter    time.Duration
}

// WithModels makes the registry create these models' tables, with
// AutoMigrate, in each new tenant's schema, and number what the models are now: models
// that are another recipe than before get a higher version (tenant.Tenant.Version).
// It replaces the registry's provisioner (registry.SetProvisioner); Create fails once
// the plugin is closed. Plugin.Migrations brings the tenants of before there.
func WithModels(models ...any) Option {
	return func(o *options) { o.models = append(o.models, models...) }
}

// WithMigrations makes the registry bring each new tenant's schema to the latest
// version of the goose files in fsys (fs.Sub gives one folder of an embed.FS), and
// note that version (tenant.Tenant.Version). They name tables without a schema.
// It takes the place of WithModels, and replaces the registry's provisioner.
func WithMigrations(fsys fs.FS) Option {
	return func(o *options) { o.migrations, o.badFiles = migrations.Load(fsys) }
}

// WithMigrationSet is WithMigrations for files and Go migrations that
// migrations.Load has read.
func WithMigrationSet(set *migrations.Set) Option {
	return func(o *options) {
		if o.migrations = set; set == nil {
			o.badFiles = migrations.ErrNoMigrations
		}
	}
}

// RequireVersion makes statements of tenants whose schema has not reached a version of
// the migrations (tenant.Tenant.Version) fail with tenant.ErrVersion, as long as the
// context does not say otherwise (tenant.RequireVersion).
func RequireVersion(version int64) Option {
	return func(o *options) { o.minVersion = version }
}

// WithRegistry takes tenants and shards from r. The caller closes r.
func WithRegistry(r *registry.Registry) Option {
	return func(o *options) { o.registry = r }
}

// WithDirectory takes tenants and shards from any Directory instead of a
// registry. Plugin.Registry is nil then.
func WithDirectory(d resolver.Directory) Option {
	return func(o *options) { o.directory = d }
}

// WithRegion names the region of this process: the application's own database
// is there, and tenants that it creates without a region are placed there.
func WithRegion(region string) Option {
	return func(o *options) { o.region = region }
}

// WithSharedSchema names the schema of tenant.Shared statements. Default
// "public".
func WithSharedSchema(schema string) Option {
	return func(o *options) { o.sharedSchema = schema }
}

// WithSearchPath names schemas that are searched after the tenant's own:
// extensions, reference tables. By default there are none, because a table
// that a tenant lacks would be found there in silence.
func WithSearchPath(schemas ...string) Option {
	return func(o *options) { o.searchPath = append(o.searchPath, schemas...) }
}

// WithObserver tells ob of every statement.
func WithObserver(ob Observer) Option {
	return func(o *options) { o.observer = ob }
}

// WithMetrics counts what each tenant does, and registers the counts, and those of the
// pools, replicas and lookups, with r until the plugin is closed. Series are bounded: the
// busiest tenants have some of their own, see package metrics. Plugin.Metrics has all.
func WithMetrics(r prometheus.Registerer) Option {
	return func(o *options) { o.registerer = r }
}

// WithCollector counts in c, which the caller starts and stops, with WithMetrics or
// without.
func WithCollector(c *metrics.Collector) Option {
	return func(o *options) { o.collector = c }
}

// WithTracing joins metrics and traces: traceID returns the context's trace, so that slow
// statements become exemplars, and annotate puts the tenant on its span. Either may be
// nil. For OpenTelemetry they are oteltrace.TraceID and oteltrace.Annotate.
func WithTracing(traceID func(context.Context) string, annotate func(context.Context, tenant.ID)) Option {
	return func(o *options) { o.traceID, o.annotate = traceID, annotate }
}

// WithGovernor holds tenants to their limits: how many statements run, at what rate, at
// the same time and on how many connections, how long each may take, how many rows a
// result and how many bytes a tenant may have. What is over a limit fails with a
// *quota.LimitError (tenant.ErrLimited). The caller starts and stops g, a
// *quota.Governor.
//
// A transaction takes one place among a tenant's Concurrency, and so does a query whose
// rows are being read; who holds one and asks for another may wait for itself.
func WithGovernor(g resolver.Governor) Option {
	return func(o *options) { o.governor = g }
}

// WithLogger sets the logger of background work. Default slog.Default.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) { o.logger = l }
}

// WithTransactionPooler is for databases behind a transaction pooler that
// knows no prepared statements (PgBouncer before 1.21): the scope statement is
// not kept prepared. The DSN must say default_query_exec_mode=exec, or
// PreferSimpleProtocol be set.
func WithTransactionPooler() Option {
	return func(o *options) { o.pooler = true }
}

// WithRoles is strict mode: each tenant's statements run under a database role of its
// own, which may use just its schema's tables and is taken on in the statement's own
// packet. A tenant without one fails with tenant.ErrNoRole: see registry.EnsureRoles.
// New tenants get theirs from Create (registry.SetRoles, which this switches on). See the
// package documentation for what it stops and what not.
func WithRoles() Option { return func(o *options) { o.roles = true } }

// WithPoolLimits bounds each node's pool: open connections (default 50), age
// (30 minutes), distinct tenants that a connection serves before it is
// replaced (2,500). Zero keeps a default.
func WithPoolLimits(maxConns int, maxAge time.Duration, maxTenants int) Option {
	return func(o *options) { o.maxConns, o.maxAge, o.maxTenants = maxConns, maxAge, maxTenants }
}

// WithConnBudget bounds the open connections of all pools together, and those to one
// server (the host and port of the shards' DSNs), whatever the pools' own limits. Zero:
// no such bound. When all are used, the one that has idled longest gives way, and
// otherwise each pool gets its share. Connections of WithRegistry's registry, and of a
// GORM opened with a Conn, are not counted.
func WithConnBudget(total, perServer int) Option {
	return func(o *options) { o.maxTotal, o.maxPerServer = total, perServer }
}

// WithMaxIdleTime closes connections that nobody has used for that long, down to none.
// Default 5 minutes; negative: never.
func WithMaxIdleTime(d time.Duration) Option {
	return func(o *options) { o.maxIdle = d }
}

// WithLeakDetection logs each connection that is held for longer than after, once, with
// the line of the application that asked for it: rows that were not closed, a
// transaction that was not ended, a sql.Conn that was not given back. It costs about a
// microsecond per statement. Plugin.Leaks lists them.
func WithLeakDetection(after time.Duration) Option {
	return func(o *options) { o.leakAfter = after }
}

func (o *options) validate() error {
	if o.badFiles != nil {
		return fmt.Errorf("tenantplugin: WithMigrations: %w", o.badFiles)
	}
	if o.migrations != nil && len(o.models) > 0 {
		return errors.New("tenantplugin: WithModels and WithMigrations exclude each other")
	}
	if o.registry != nil && o.directory != nil {
		return errors.New("tenantplugin: WithRegistry and WithDirectory exclude each other")
	}
	if o.directory != nil && (len(o.models) > 0 || o.migrations != nil) {
		return errors.New("tenantplugin: WithModels and WithMigrations need a registry, which WithDirectory replaces")
	}
	if o.directory != nil && o.region != "" {
		return errors.New("tenantplugin: WithRegion places new tenants through a registry, which WithDirectory replaces")
	}
	if o.directory != nil && o.roles {
		if _, ok := o.directory.(resolver.Logins); !ok {
			return errors.New("tenantplugin: WithRoles needs a directory that knows the logins' passwords: let that of WithDirectory implement resolver.Logins")
		}
	}
	if err := namesSchema("WithSharedSchema", o.sharedSchema); err != nil {
		return err
	}
	for _, s := range o.searchPath {
		if err := namesSchema("WithSearchPath", s); err != nil {
			return err
		}
	}
	return nil
}

func namesSchema(option, name string) error {
	if name == "public" {
		return nil
	}
	if _, err := tenant.ParseSchema(name); err != nil {
		return fmt.Errorf("tenantplugin: %s: %w", option, err)
	}
	return nil
}
