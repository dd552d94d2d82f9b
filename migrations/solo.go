package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// errAlone: the tenant's migration is under way in another session.
var errAlone = errors.New("another session migrates the tenant")

// guard prepares a connection for a step that no message can hold: a lock of
// the session keeps others from the same, then the tenant is checked. Both end
// with the connection. A process that died leaves the lock for as long as the
// server still works on what it had begun.
func (b *batchRun) guard(conn *pgxpool.Conn, t tenant.Tenant, st *step) error {
	p := b.place(t, st)
	var free bool
	if err := conn.QueryRow(b.caller, "SELECT pg_catalog.pg_try_advisory_lock($1)", p.lockKey()).Scan(&free); err != nil {
		return fmt.Errorf("lock the tenant on shard %s: %w", b.name, err)
	}
	if !free {
		return errAlone
	}
	for {
		var text strings.Builder
		p.prelude(&text)
		p.check(&text)
		_, err := read(conn.Conn().PgConn().Exec(b.caller, text.String()))
		if err = p.unexpected(st, err); err != errLookAgain {
			return err
		}
	}
}

// bareStep runs the statements of a file without a transaction.
func (b *batchRun) bareStep(conn *pgxpool.Conn, t tenant.Tenant, st *step) (int64, error) {
	if err := b.guard(conn, t, st); err != nil {
		return unknownVersion, err
	}
	p, part := b.place(t, st), st.parts[0]
	var end strings.Builder
	p.expect = nil
	p.enter(&end, st.down, part.version)
	texts := append([]string{"SET search_path = " + p.searchPath()}, part.statements...)
	for i, text := range texts {
		if _, err := read(conn.Conn().PgConn().Exec(b.caller, text)); err != nil {
			return unknownVersion, fmt.Errorf("%s, statement %d: %w: %w", part.source, i, ErrNotUndone, err)
		}
	}
	a, err := read(conn.Conn().PgConn().Exec(b.caller, end.String()))
	if err != nil {
		return unknownVersion, fmt.Errorf("%s, entering the version: %w: %w", part.source, ErrNotUndone, err)
	}
	return a.version, nil
}

// goStep has goose run a Go migration, on connections of its own.
func (b *batchRun) goStep(t tenant.Tenant, st *step) (int64, error) {
	conn, err := b.pool.Acquire(b.caller)
	if err != nil {
		return unknownVersion, fmt.Errorf("connect to shard %s: %w", b.name, err)
	}
	defer release(b.caller, conn, st)
	if err := b.guard(conn, t, st); err != nil {
		return unknownVersion, err
	}
	failed := b.goose(t, st)
	// goose may have been cut off behind its commit.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.caller), cleanup)
	defer cancel()
	var text strings.Builder
	b.place(t, st).report(&text)
	a, err := read(conn.Conn().PgConn().Exec(ctx, text.String()))
	switch {
	case failed == nil && err == nil:
		return a.version, nil
	case failed == nil:
		return unknownVersion, fmt.Errorf("%s: %w: %w", st.parts[0].source, ErrUnknownOutcome, err)
	case err != nil:
		return unknownVersion, failed
	case st.parts[0].tx && b.ended():
		// A cut connection does not say why.
		failed = fmt.Errorf("%w: %w", context.Canceled, failed)
	}
	return a.version, failed
}

// database opens connections of their own into a tenant's schema, for others than pgx.
func (b *batchRun) database(t tenant.Tenant, tx bool) (*sql.DB, error) {
	config, err := b.fleet.ShardConfig(b.caller, b.name)
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", b.name, err)
	}
	config.RuntimeParams[isolation] = readCommitted
	config.RuntimeParams["search_path"] = place{schema: t.Schema, path: b.opts.SearchPath}.searchPath()
	if tx {
		config.RuntimeParams["lock_timeout"] = fmt.Sprintf("%dms", max(1, b.opts.LockTimeout.Milliseconds()))
	}
	return stdlib.OpenDB(*config), nil
}

// as returns the context of foreign code that migrates a tenant.
func (b *batchRun) as(t tenant.Tenant) context.Context {
	return tenant.RequireVersion(tenant.Admit(tenant.NewContext(b.caller, t.ID), t.State), 0)
}

func (b *batchRun) goose(t tenant.Tenant, st *step) error {
	part := st.parts[0]
	db, err := b.database(t, part.tx)
	if err != nil {
		return err
	}
	defer db.Close()
	m := *part.goFunc
	provider, err := goose.NewProvider(goose.DialectPostgres, db, nil, goose.WithTableName(versionTable),
		goose.WithGoMigrations(&m), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("%s: %w", part.source, err)
	}
	if _, err := provider.ApplyVersion(b.as(t), part.version, !st.down); err != nil {
		if !part.tx {
			err = fmt.Errorf("%w: %w", ErrNotUndone, err)
		}
		return fmt.Errorf("%s: %w", part.source, err)
	}
	return nil
}
