package ctl

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgdsn"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	envDSN   = "GORMTENANCY_DSN"
	envActor = "GORMTENANCY_ACTOR"
)

// connectTimeout bounds a connection attempt, unless the DSN says otherwise.
const connectTimeout = 10 * time.Second

// dsnFrom returns the DSN that a flag's value stands for.
func (a *app) dsnFrom(value string) (string, error) {
	if name, ok := strings.CutPrefix(value, "env:"); ok {
		if value = a.env.Getenv(name); value == "" {
			return "", usagef("environment variable %s is empty: put the DSN there", name)
		}
		return value, nil
	}
	if path, ok := strings.CutPrefix(value, "file:"); ok {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", usagef("read the DSN: %w", err)
		}
		return strings.TrimSpace(string(text)), nil
	}
	return value, nil
}

// config returns the control database's settings.
func (a *app) config() (*pgx.ConnConfig, error) {
	if a.schema != registry.DefaultSchema {
		if _, err := tenant.ParseSchema(a.schema); err != nil {
			return nil, usagef("--control-schema: %w", err)
		}
	}
	value := a.dsn
	if value == "" {
		value = a.env.Getenv(envDSN)
	}
	if value == "" {
		return nil, usagef("no control database: put its DSN into $%s, such as postgres://user@host/database, or say --dsn", envDSN)
	}
	dsn, err := a.dsnFrom(value)
	if err != nil {
		return nil, err
	}
	return parseDSN("control database", dsn)
}

func parseDSN(what, dsn string) (*pgx.ConnConfig, error) {
	config, err := pgdsn.Parse(dsn)
	if err != nil {
		return nil, usagef("%s: %w", what, err)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	return config, nil
}

// controlVersion returns the version of the control plane, and this program's.
func (a *app) controlVersion(ctx context.Context, config *pgx.ConnConfig) (version, latest int64, err error) {
	version, latest, err = migrations.ControlVersion(ctx, config, a.schema)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", tenant.ErrUnavailable, err)
	}
	return version, latest, err
}

// open opens the registry of a control plane that exists and is up to date: making
// or changing one is init's business, since the DSN may be another database's.
func (a *app) open(ctx context.Context) (*registry.Registry, error) {
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	version, latest, err := a.controlVersion(ctx, config)
	switch {
	case err != nil:
		return nil, err
	case version == 0:
		return nil, fmt.Errorf("no control plane in schema %s of this database: make it with tenantctl init: %w",
			tenant.QuoteIdent(a.schema), tenant.ErrUnavailable)
	case version < latest:
		return nil, fmt.Errorf("the control plane has version %d, this program needs %d: bring it there with tenantctl init: %w",
			version, latest, errRefused)
	}
	return a.openAt(ctx, registry.Config{ConnConfig: config})
}

func (a *app) openAt(ctx context.Context, cfg registry.Config) (*registry.Registry, error) {
	cfg.Schema, cfg.Logger, cfg.Programs = a.schema, a.logger(), a.programs
	cfg.DeleteEvery, cfg.MeasureEvery = -1, -1 // nobody expects a list to do what is due
	return registry.Open(ctx, cfg)
}

// actorName returns who is named in the audit.
func (a *app) actorName() string {
	for _, name := range []string{a.actor, a.env.Getenv(envActor)} {
		if name != "" {
			return name
		}
	}
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
