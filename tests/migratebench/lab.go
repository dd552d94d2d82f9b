package main

import (
	"context"
	"errors"
	"fmt"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// lab is two servers with a fleet. Shard i has the tenants whose number leaves i.
type lab struct {
	config
	cluster *pgcluster.Cluster
	reg     *registry.Registry // the runner's
	dsn     []string
	files   fstest.MapFS
	version int64 // that the fleet has
}

const (
	control   = "tenancy" // the registry's schema
	firstFile = `-- +goose Up
CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE TABLE remark (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item_id bigint REFERENCES item, body text);
CREATE INDEX ON remark (item_id);
`
)

func id(i int) string { return fmt.Sprintf("t%05d", i) }

func (l *lab) open(ctx context.Context) (err error) {
	if l.cluster, err = pgcluster.Start(ctx, pgcluster.Config{Shards: 2}); err != nil {
		return err
	}
	for _, s := range l.cluster.Shards() {
		l.dsn = append(l.dsn, s.Primary.DSN)
	}
	if l.reg, err = registry.Open(ctx, registry.Config{DSN: l.dsn[0], Schema: control}); err != nil {
		return err
	}
	for i, dsn := range l.dsn {
		if err := l.reg.AddShard(ctx, tenant.Shard{Name: fmt.Sprint("s", i), Primary: dsn}); err != nil {
			return err
		}
	}
	l.files, l.version = fstest.MapFS{"00001_first.sql": {Data: []byte(firstFile)}}, 1
	return l.fill(ctx)
}

// fill makes the schemas, and enters all tenants at once.
func (l *lab) fill(ctx context.Context) error {
	set, err := migrations.Load(l.files)
	if err != nil {
		return err
	}
	ddl, _ := set.Script()
	err = l.each(ctx, 2, func(conn *pgx.Conn, schema string) error {
		return send(ctx, conn, fmt.Sprintf("CREATE SCHEMA %s; SELECT set_config('search_path', '%[1]s', true); %s; CREATE TABLE noted (LIKE goose_db_version INCLUDING ALL)", schema, ddl))
	})
	if err != nil {
		return err
	}
	return l.onControl(ctx, fmt.Sprintf(`INSERT INTO %s.tenants (id, schema_name, state, tier, shard, version)
		SELECT 't' || to_char(i, 'FM00000'), 'tenant_t' || to_char(i, 'FM00000'), 'active', 'standard', 's' || i %% 2, 1
		FROM generate_series(0, %d) i; ANALYZE %[1]s.tenants`, control, l.tenants-1))
}

func (l *lab) onControl(ctx context.Context, text string) error {
	conn, err := pgx.Connect(ctx, l.dsn[0])
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is pending
	return send(ctx, conn, text)
}

func send(ctx context.Context, conn *pgx.Conn, text string) error {
	_, err := conn.PgConn().Exec(ctx, text).ReadAll()
	return err
}

// each calls fn for every tenant, on n connections per shard.
func (l *lab) each(ctx context.Context, n int, fn func(conn *pgx.Conn, schema string) error) error {
	var g errgroup.Group
	for shard, dsn := range l.dsn {
		for part := range n {
			g.Go(func() error {
				conn, err := pgx.Connect(ctx, dsn)
				if err != nil {
					return err
				}
				defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is pending
				for i := shard + 2*part; i < l.tenants && err == nil; i += 2 * n {
					err = fn(conn, "tenant_"+id(i))
				}
				return err
			})
		}
	}
	return g.Wait()
}

// byHand is the loop that one would write: a column and an index for every tenant,
// each in one message and one transaction. noted, it does not wait for locks for ever
// and enters a version in a table like goose's, so that it can be run again.
func (l *lab) byHand(ctx context.Context, column string, noted bool) error {
	return l.each(ctx, l.perShard, func(conn *pgx.Conn, schema string) error {
		limit, note := "", ""
		if noted {
			limit = ", set_config('lock_timeout', '2s', true)"
			note = "INSERT INTO noted (version_id, is_applied) VALUES (0, true);"
		}
		return send(ctx, conn, fmt.Sprintf("SELECT set_config('search_path', '%s', true)%s; ALTER TABLE item ADD COLUMN %s int; CREATE INDEX ON item (%[3]s);%s",
			schema, limit, column, note))
	})
}

// migrate does the same as a migration of its own.
func (l *lab) migrate(ctx context.Context, pace float64) error {
	l.version++
	l.files[fmt.Sprintf("%05d_more.sql", l.version)] = &fstest.MapFile{
		Data: fmt.Appendf(nil, "-- +goose Up\nALTER TABLE item ADD COLUMN c%d int;\nCREATE INDEX ON item (c%[1]d);\n", l.version),
	}
	return l.migrateTo(ctx, l.version, pace)
}

func (l *lab) migrateTo(ctx context.Context, version int64, pace float64) error {
	set, err := migrations.Load(l.files)
	if err != nil {
		return err
	}
	_, err = migrations.Run(ctx, l.reg, set, migrations.Options{Target: version, PerShard: l.perShard, Rate: pace})
	return err
}

func (l *lab) close(ctx context.Context) error {
	if l.reg != nil {
		l.reg.Close()
	}
	if l.cluster == nil {
		return nil
	}
	return errors.Join(l.cluster.Stop(context.WithoutCancel(ctx)))
}
