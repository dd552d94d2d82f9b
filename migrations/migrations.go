package migrations

import (
	"context"
	"embed"
	"fmt"
	"hash/fnv"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/gormtenancy/gormtenancy/tenant"
)

//go:embed control/*.sql
var control embed.FS

// Table is goose's table inside the control plane's schema. Its column tstamp
// says when each version was applied.
const Table = "migrations"

// closeTimeout bounds the farewell of a connection whose caller's context has
// ended.
const closeTimeout = 5 * time.Second

// Control returns the control plane's goose files.
func Control() fs.FS {
	sub, err := fs.Sub(control, "control")
	if err != nil {
		panic(err) // the name is a constant that embed has checked
	}
	return sub
}

// ApplyControl brings the control plane in schema, in the database of config,
// to the newest version. The schema is created if it does not exist. It blocks
// while another process does the same. config is not changed.
func ApplyControl(ctx context.Context, config *pgx.ConnConfig, schema string) error {
	conn, err := pgx.ConnectConfig(ctx, config.Copy())
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	// Closing the session is what releases the lock.
	defer closeConn(ctx, conn)
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", lockKey(schema)); err != nil {
		return fmt.Errorf("wait for other processes: %w", err)
	}
	if err := ensureSchema(ctx, conn, schema); err != nil {
		return err
	}
	return up(ctx, config, schema)
}

// ControlVersion returns the version of the control plane in schema, 0 if there is
// none, and the one that ApplyControl would bring it to. It changes nothing.
func ControlVersion(ctx context.Context, config *pgx.ConnConfig, schema string) (version, latest int64, err error) {
	if latest, err = latestControl(); err != nil {
		return 0, 0, err
	}
	conn, err := pgx.ConnectConfig(ctx, config.Copy())
	if err != nil {
		return 0, 0, fmt.Errorf("connect: %w", err)
	}
	defer closeConn(ctx, conn)
	table := tenant.QuoteIdent(schema) + "." + tenant.QuoteIdent(Table)
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.to_regclass($1) IS NOT NULL", table).Scan(&exists); err != nil || !exists {
		return 0, latest, err
	}
	if err := conn.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM "+table+" WHERE is_applied").Scan(&version); err != nil {
		return 0, latest, fmt.Errorf("read %s: %w", table, err)
	}
	return version, latest, nil
}

func latestControl() (latest int64, err error) {
	names, err := fs.Glob(Control(), "*.sql")
	for _, name := range names {
		v, err := goose.NumericComponent(name)
		if err != nil {
			return 0, fmt.Errorf("read the migrations: %w", err)
		}
		latest = max(latest, v)
	}
	return latest, err
}

func ensureSchema(ctx context.Context, conn *pgx.Conn, schema string) error {
	var exists bool
	// CREATE SCHEMA IF NOT EXISTS asks for the right to create even if it does.
	row := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)", schema)
	if err := row.Scan(&exists); err != nil {
		return fmt.Errorf("look for schema %s: %w", tenant.QuoteIdent(schema), err)
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE SCHEMA "+tenant.QuoteIdent(schema)); err != nil {
		return fmt.Errorf("create schema %s: %w", tenant.QuoteIdent(schema), err)
	}
	return nil
}

func up(ctx context.Context, config *pgx.ConnConfig, schema string) error {
	config = config.Copy()
	config.RuntimeParams["search_path"] = tenant.QuoteIdent(schema)
	db := stdlib.OpenDB(*config)
	defer db.Close() //nolint:errcheck // nothing is pending on it
	provider, err := goose.NewProvider(goose.DialectPostgres, db, Control(),
		goose.WithTableName(Table), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate schema %s: %w", tenant.QuoteIdent(schema), err)
	}
	return nil
}

func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = conn.Close(ctx) // the server ends the session either way
}

// lockKey is the advisory lock's, which all of a database share.
func lockKey(schema string) int64 {
	h := fnv.New64a()
	h.Write([]byte("gormtenancy/control/" + schema))
	return int64(h.Sum64())
}
