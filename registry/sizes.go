package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Size is how large a tenant was when it was measured last.
type Size struct {
	Tenant   tenant.ID
	Shard    string
	Bytes    int64
	Measured time.Time
}

// SizeFilter selects sizes.
type SizeFilter struct {
	Tenant tenant.ID
	Shard  string
	Limit  int // default DefaultLimit, at most MaxLimit
}

// Sizes returns what MeasureSizes has measured, the largest first. The error wraps
// tenant.ErrUnavailable unless the filter is at fault.
func (r *Registry) Sizes(ctx context.Context, f SizeFilter) ([]Size, error) {
	if f.Limit < 0 || f.Limit > MaxLimit {
		return nil, fmt.Errorf("list sizes: limit %d is not between 0 and %d", f.Limit, MaxLimit)
	}
	if f.Limit == 0 {
		f.Limit = DefaultLimit
	}
	if !(Filter{Prefix: string(f.Tenant), Shard: f.Shard}).matchable() {
		return nil, nil
	}
	rows, err := r.questions.Query(ctx, r.sql.sizes, string(f.Tenant), f.Shard, f.Limit)
	if err != nil {
		return nil, failed(ctx, "list sizes", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Size, err error) {
		err = row.Scan(&s.Tenant, &s.Shard, &s.Bytes, &s.Measured)
		s.Measured = s.Measured.UTC()
		return s, err
	})
	if err != nil {
		return nil, failed(ctx, "list sizes", err)
	}
	return all, nil
}

// sizeBatch is how many schemas are measured by one statement.
const sizeBatch = 200

// sizeSQL adds up the files of schemas: tables with their indexes and TOAST, sequences
// and materialized views. Each is one look at the disk.
const sizeSQL = `SELECT n.nspname, coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::pg_catalog.int8
	FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid AND c.relkind IN ('r', 'm', 'S')
	WHERE n.nspname OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[]::pg_catalog.name[]) GROUP BY 1`

// MeasureSizes measures every tenant's schema, some at a time, with a pause of as long
// as that took in between. It returns how many it measured; what fails on one shard is in
// the error, and the other shards' are measured.
func (r *Registry) MeasureSizes(ctx context.Context) (n int, err error) {
	shards, err := r.Shards(ctx)
	if err != nil {
		return 0, err
	}
	var first error
	for _, s := range shards {
		m, err := r.measureShard(ctx, s.Name)
		if n += m; err != nil && first == nil {
			first = fmt.Errorf("measure the tenants of shard %s: %w", s.Name, err)
		}
	}
	return n, first
}

func (r *Registry) measureShard(ctx context.Context, shard string) (n int, err error) {
	after := ""
	for {
		rows, err := r.questions.Query(ctx, r.sql.schemas, shard, after, sizeBatch)
		if err != nil {
			return n, failed(ctx, "list schemas", err)
		}
		schemas, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return n, failed(ctx, "list schemas", err)
		}
		if len(schemas) == 0 {
			return n, nil
		}
		start := time.Now()
		if err := r.measure(ctx, shard, schemas); err != nil {
			return n, err
		}
		n, after = n+len(schemas), schemas[len(schemas)-1]
		if len(schemas) < sizeBatch {
			return n, nil
		}
		select {
		case <-ctx.Done():
			return n, ctx.Err()
		case <-time.After(time.Since(start)):
		}
	}
}

func (r *Registry) measure(ctx context.Context, shard string, schemas []string) error {
	var names []string
	var bytes []int64
	err := r.onShard(ctx, shard, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, sizeSQL, schemas)
		if err != nil {
			return err
		}
		var name string
		var size int64
		_, err = pgx.ForEachRow(rows, []any{&name, &size}, func() error {
			names, bytes = append(names, name), append(bytes, size)
			return nil
		})
		return err
	})
	if err != nil {
		return err
	}
	if _, err := r.questions.Exec(ctx, r.sql.putSizes, shard, names, bytes); err != nil {
		return failed(ctx, "enter sizes", err)
	}
	return nil
}
