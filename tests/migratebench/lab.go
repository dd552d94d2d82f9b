package main

import (
	"context"
	"fmt"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/tests/fleetlab"
)

// lab is a fleet that is migrated again and again.
type lab struct {
	config
	*fleetlab.Fleet
	version int64 // that the fleet has
}

func (l *lab) open(ctx context.Context) (err error) {
	if l.Fleet, err = fleetlab.Open(ctx, l.tenants); err != nil {
		return err
	}
	l.version = 1
	// What the loop by hand notes its versions in.
	return l.Each(ctx, 2, func(conn *pgx.Conn, schema string) error {
		return fleetlab.Send(ctx, conn, fmt.Sprintf("CREATE TABLE %s.noted (LIKE %[1]s.goose_db_version INCLUDING ALL)", schema))
	})
}

// byHand is the loop that one would write: a column and an index for every tenant,
// each in one message and one transaction. noted, it does not wait for locks for ever
// and enters a version in a table like goose's, so that it can be run again.
func (l *lab) byHand(ctx context.Context, column string, noted bool) error {
	return l.Each(ctx, l.perShard, func(conn *pgx.Conn, schema string) error {
		limit, note := "", ""
		if noted {
			limit = ", set_config('lock_timeout', '2s', true)"
			note = "INSERT INTO noted (version_id, is_applied) VALUES (0, true);"
		}
		return fleetlab.Send(ctx, conn, fmt.Sprintf("SELECT set_config('search_path', '%s', true)%s; ALTER TABLE item ADD COLUMN %s int; CREATE INDEX ON item (%[3]s);%s",
			schema, limit, column, note))
	})
}

// migrate does the same as a migration of its own.
func (l *lab) migrate(ctx context.Context, pace float64) error {
	l.version++
	l.Files[fmt.Sprintf("%05d_more.sql", l.version)] = &fstest.MapFile{
		Data: fmt.Appendf(nil, "-- +goose Up\nALTER TABLE item ADD COLUMN c%d int;\nCREATE INDEX ON item (c%[1]d);\n", l.version),
	}
	return l.migrateTo(ctx, l.version, pace)
}

func (l *lab) migrateTo(ctx context.Context, version int64, pace float64) error {
	set, err := migrations.Load(l.Files)
	if err != nil {
		return err
	}
	_, err = migrations.Run(ctx, l.Registry, set, migrations.Options{Target: version, PerShard: l.perShard, Rate: pace})
	return err
}

func (l *lab) close(ctx context.Context) error {
	if l.Fleet == nil {
		return nil
	}
	return l.Fleet.Close(ctx)
}
