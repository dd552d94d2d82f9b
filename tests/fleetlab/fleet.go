package fleetlab

import (
	"context"
	"fmt"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Fleet is two servers with tenants. Shard i has those whose number leaves i. Each has
// the tables of the first of Files.
type Fleet struct {
	Tenants  int
	DSN      []string           // of the shards; the first is the control database too
	Registry *registry.Registry // the operator's
	Files    fstest.MapFS
	cluster  *pgcluster.Cluster
}

const (
	control   = "tenancy" // the registry's schema
	firstFile = `-- +goose Up
CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE TABLE remark (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item_id bigint REFERENCES item, body text);
CREATE INDEX ON remark (item_id);
`
)

// ID returns tenant i's.
func ID(i int) tenant.ID { return tenant.ID(fmt.Sprintf("t%05d", i)) }

// Open starts the servers and makes the tenants.
func Open(ctx context.Context, tenants int) (*Fleet, error) {
	f := &Fleet{Tenants: tenants, Files: fstest.MapFS{"00001_first.sql": {Data: []byte(firstFile)}}}
	if err := f.open(ctx); err != nil {
		_ = f.Close(ctx) // the error before says more
		return nil, err
	}
	return f, nil
}

func (f *Fleet) open(ctx context.Context) (err error) {
	if f.cluster, err = pgcluster.Start(ctx, pgcluster.Config{Shards: 2}); err != nil {
		return err
	}
	for _, s := range f.cluster.Shards() {
		f.DSN = append(f.DSN, s.Primary.DSN)
	}
	if f.Registry, err = f.OpenRegistry(ctx); err != nil {
		return err
	}
	for i, dsn := range f.DSN {
		if err := f.Registry.AddShard(ctx, tenant.Shard{Name: fmt.Sprint("s", i), Primary: dsn}); err != nil {
			return err
		}
	}
	return f.fill(ctx)
}

// OpenRegistry opens another registry, as another process has one.
func (f *Fleet) OpenRegistry(ctx context.Context) (*registry.Registry, error) {
	return registry.Open(ctx, registry.Config{DSN: f.DSN[0], Schema: control})
}

// fill makes the schemas, and enters all tenants at once.
func (f *Fleet) fill(ctx context.Context) error {
	set, err := migrations.Load(f.Files)
	if err != nil {
		return err
	}
	ddl, _ := set.Script()
	err = f.Each(ctx, 2, func(conn *pgx.Conn, schema string) error {
		return Send(ctx, conn, fmt.Sprintf("CREATE SCHEMA %s; SELECT set_config('search_path', '%[1]s', true); %s", schema, ddl))
	})
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, f.DSN[0])
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is pending
	return Send(ctx, conn, fmt.Sprintf(`INSERT INTO %s.tenants (id, schema_name, state, tier, shard, version)
		SELECT 't' || to_char(i, 'FM00000'), 'tenant_t' || to_char(i, 'FM00000'), 'active', 'standard', 's' || i %% 2, 1
		FROM generate_series(0, %d) i; ANALYZE %[1]s.tenants`, control, f.Tenants-1))
}

// Send sends a text of several statements, as one transaction.
func Send(ctx context.Context, conn *pgx.Conn, text string) error {
	_, err := conn.PgConn().Exec(ctx, text).ReadAll()
	return err
}

// Each calls fn for every tenant's schema, on n connections per shard.
func (f *Fleet) Each(ctx context.Context, n int, fn func(conn *pgx.Conn, schema string) error) error {
	var g errgroup.Group
	for shard, dsn := range f.DSN {
		for part := range n {
			g.Go(func() error {
				conn, err := pgx.Connect(ctx, dsn)
				if err != nil {
					return err
				}
				defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is pending
				for i := shard + 2*part; i < f.Tenants && err == nil; i += 2 * n {
					err = fn(conn, "tenant_"+string(ID(i)))
				}
				return err
			})
		}
	}
	return g.Wait()
}

// Close stops the servers.
func (f *Fleet) Close(ctx context.Context) error {
	if f.Registry != nil {
		f.Registry.Close()
	}
	if f.cluster == nil {
		return nil
	}
	return f.cluster.Stop(context.WithoutCancel(ctx))
}
