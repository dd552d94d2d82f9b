package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gormtenancy/gormtenancy/internal/pgdsn"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// DefaultSchema is the control plane's schema unless Config.Schema says else.
const DefaultSchema = "tenancy"

// Config configures a Registry. DSN or ConnConfig is required.
type Config struct {
	// DSN is the control database's, as pgx reads it.
	DSN string
	// ConnConfig is used instead of DSN where the connection's settings were
	// parsed already. It is copied. Its ConnString is what Shard returns as
	// the primary of a shard that is the control database itself.
	ConnConfig *pgx.ConnConfig
	// Schema holds the control plane's tables. Default DefaultSchema. Its name
	// is also the notification channel's.
	Schema string
	// HomeShard, if not empty, is the name under which Open registers the
	// control database itself as a shard when there is no shard at all.
	HomeShard string
	// Region is the home shard's, and that of new tenants whose Spec names
	// none; see SetRegion.
	Region string
	// TTL is how long Lookup believes a tenant, and Shard a shard, without
	// asking again; each entry's varies by up to 10% so that they do not run
	// out together. Default 30 s.
	TTL time.Duration
	// NegativeTTL is how long Lookup believes that a tenant is unknown, and
	// how long it waits before it asks an unreachable control plane again
	// about a tenant that it serves from memory. Default 2 s.
	NegativeTTL time.Duration
	// StaleFor is how long after TTL an entry still serves while the control
	// plane cannot be reached. Default 10 min.
	StaleFor time.Duration
	// MaxEntries bounds the tenants that this process remembers; beyond it,
	// those go that were not looked up for long. It is rounded up to a multiple
	// of 64. A remembered tenant takes about half a kilobyte. Default 100,000.
	MaxEntries int
	// Cache is a second level, which processes share; see package rediscache.
	// It belongs to this registry alone, whose Close closes it. Default none.
	Cache Cache
	// QueryTimeout bounds a connection attempt, and the questions that are
	// asked on behalf of many callers at once. Default 5 s.
	QueryTimeout time.Duration
	// ProvisionTimeout is the age after which a tenant that is still being
	// provisioned, and that no process works on, counts as left behind by a
	// crash: Create takes it over. Default 1 min.
	ProvisionTimeout time.Duration
	// SpareTenants is how many tenants of each shard are made ahead, so that Create
	// has one at once. Processes with the same recipe share them; without a
	// provisioner and a recipe there are none. Default none.
	SpareTenants int
	// DeleteEvery is how often tenants whose DeleteAfter has come are looked for, and
	// deleted. Each is deleted by one process, however many look. Negative: this process
	// deletes none, as befits a program that is opened for something else. Default 1 min.
	DeleteEvery time.Duration
	// MeasureEvery is how often each tenant's size is measured (MeasureSizes), by one
	// process for all. Default: every hour while some limit has storage_bytes, else never.
	// Negative: this process measures none.
	MeasureEvery time.Duration
	// KeepMinutes is how long usage by minutes is kept, KeepHours that by hours. Who looks
	// for tenants to delete (DeleteEvery) deletes it then. Default 48 h, and 400 days.
	KeepMinutes, KeepHours time.Duration
	// Programs is the directory of pg_dump and pg_restore, which Archive, Restore and
	// Copy run. They must be as new as the servers at least. Default: they are found by PATH.
	Programs string
	// Roles gives each new tenant a database role of its own; see SetRoles.
	Roles bool
	// MaxConns bounds the connections for questions, separately those for tenants
	// being created or deleted, and those to each shard. One more listens; each Copy,
	// and each run of migrations, has some of its own besides. Default 4.
	MaxConns int32
	// Logger gets what happens in the background. Default slog.Default().
	Logger *slog.Logger
	// Provision fills a new tenant's schema; see SetProvisioner.
	Provision Provisioner
	// Recipe says what Provision makes.
	Recipe Recipe
}

func (c Config) withDefaults() (Config, error) {
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"TTL", &c.TTL, 30 * time.Second},
		{"NegativeTTL", &c.NegativeTTL, 2 * time.Second},
		{"StaleFor", &c.StaleFor, 10 * time.Minute},
		{"QueryTimeout", &c.QueryTimeout, 5 * time.Second},
		{"ProvisionTimeout", &c.ProvisionTimeout, time.Minute},
		{"KeepMinutes", &c.KeepMinutes, 48 * time.Hour},
		{"KeepHours", &c.KeepHours, 400 * 24 * time.Hour},
	} {
		if *d.value < 0 {
			return c, fmt.Errorf("registry.Config.%s is negative: leave it out for %s", d.name, d.def)
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if c.DeleteEvery == 0 {
		c.DeleteEvery = time.Minute
	}
	if c.SpareTenants < 0 {
		return c, errors.New("registry.Config.SpareTenants is negative: leave it out for none")
	}
	if c.MaxEntries < 0 {
		return c, errors.New("registry.Config.MaxEntries is negative: leave it out for 100,000")
	}
	if c.MaxEntries == 0 {
		c.MaxEntries = 100_000
	}
	if c.MaxConns < 0 {
		return c, errors.New("registry.Config.MaxConns is negative: leave it out for 4")
	}
	if c.MaxConns == 0 {
		c.MaxConns = 4
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c.withSchema()
}

func (c Config) withSchema() (Config, error) {
	if c.Schema == "" {
		c.Schema = DefaultSchema
	}
	if c.Schema == DefaultSchema {
		return c, nil
	}
	// The rules for a tenant's schema keep public and PostgreSQL's own out.
	if _, err := tenant.ParseSchema(c.Schema); err != nil {
		return c, fmt.Errorf("registry.Config.Schema: %w", err)
	}
	return c, nil
}

// connConfig returns the control database's settings, a copy.
func (c Config) connConfig() (*pgx.ConnConfig, error) {
	if c.ConnConfig != nil {
		if c.DSN != "" {
			return nil, errors.New("registry.Config has both DSN and ConnConfig: give one")
		}
		return c.ConnConfig.Copy(), nil
	}
	if c.DSN == "" {
		return nil, errors.New("registry.Config has no DSN: give the control database's")
	}
	conn, err := pgdsn.Parse(c.DSN)
	if err != nil {
		return nil, fmt.Errorf("control database: %w", err)
	}
	return conn, nil
}

// poolIdle is how long a connection waits for its next use.
const poolIdle = 5 * time.Minute

// newPool returns a pool that connects when it is first used.
func newPool(ctx context.Context, conn *pgx.ConnConfig, maxConns int32) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(conn.ConnString())
	if err != nil {
		return nil, fmt.Errorf("control database: %w", pgdsn.Err)
	}
	cfg.ConnConfig = conn.Copy()
	cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = maxConns, 0, 0
	cfg.MaxConnIdleTime = poolIdle
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the control pool: %w", err)
	}
	return pool, nil
}
