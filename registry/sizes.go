package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

const (
	// sizeBatch is how many schemas are measured by one statement.
	sizeBatch = 200
	// sizePatience is how long that waits for a table that is being changed.
	sizePatience = "500ms"
)

// sizeSQL adds up the files of schemas: tables with their indexes and TOAST, sequences
// and materialized views. Each is one look at the disk. It finds them by their dependence
// on the schema: pg_class has no index by that, and is large where tenants are many.
const sizeSQL = `SELECT n.nspname, coalesce(sum(pg_catalog.pg_total_relation_size(d.objid)), 0)::pg_catalog.int8
	FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_depend d
		ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid OPERATOR(pg_catalog.=) n.oid
		AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
	WHERE n.nspname OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[]::pg_catalog.name[]) GROUP BY 1`

// MeasureSizes measures every tenant's schema, some at a time, with a pause of as long
// as that took in between. Who has a locked table keeps the size of before. It returns
// how many it measured; what fails on one shard is in the error, and the other shards' are
// measured. Governors hear of it if others are over their storage than before.
func (r *Registry) MeasureSizes(ctx context.Context) (n int, err error) {
	shards, err := r.Shards(ctx)
	if err != nil {
		return 0, err
	}
	before, err := r.fullTenants(ctx)
	errs := []error{err}
	for _, s := range shards {
		m, err := r.measureShard(ctx, s.Name)
		if n += m; err != nil {
			errs = append(errs, fmt.Errorf("measure the tenants of shard %s: %w", s.Name, err))
		}
	}
	after, err := r.fullTenants(ctx)
	if err == nil && !maps.Equal(before, after) {
		_, err = r.questions.Exec(ctx, "SELECT pg_catalog.pg_notify($1, $2)", r.cfg.Schema, policyKind+":sizes")
	}
	return n, errors.Join(append(errs, err)...)
}

// fullTenants returns those that are over their storage.
func (r *Registry) fullTenants(ctx context.Context) (map[tenant.ID]int64, error) {
	full := map[tenant.ID]int64{}
	var id tenant.ID
	var bytes int64
	rows, err := r.questions.Query(ctx, r.sql.full)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&id, &bytes}, func() error { full[id] = bytes; return nil })
	}
	if err != nil {
		return nil, failed(ctx, "list full tenants", err)
	}
	return full, nil
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
		measured, err := r.measure(ctx, shard, schemas)
		if n += measured; err != nil {
			return n, err
		}
		after = schemas[len(schemas)-1]
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

// measure measures some schemas of a shard, in halves if one of them is being changed.
func (r *Registry) measure(ctx context.Context, shard string, schemas []string) (int, error) {
	names, bytes, err := r.sizesOf(ctx, shard, schemas)
	switch {
	case sqlState(err) == lockNotAvailable && len(schemas) == 1:
		return 0, nil
	case sqlState(err) == lockNotAvailable:
		half := len(schemas) / 2
		n, err := r.measure(ctx, shard, schemas[:half])
		if err != nil {
			return n, err
		}
		m, err := r.measure(ctx, shard, schemas[half:])
		return n + m, err
	case err != nil:
		return 0, err
	}
	if _, err := r.questions.Exec(ctx, r.sql.putSizes, shard, names, bytes); err != nil {
		return 0, failed(ctx, "enter sizes", err)
	}
	return len(names), nil
}

func (r *Registry) sizesOf(ctx context.Context, shard string, schemas []string) (names []string, bytes []int64, err error) {
	err = r.onShard(ctx, shard, func(conn *pgx.Conn) error {
		b := &pgx.Batch{} // one transaction
		b.Queue("SELECT pg_catalog.set_config('lock_timeout', $1, true)", sizePatience)
		b.Queue(sizeSQL, schemas).Query(func(rows pgx.Rows) error {
			var name string
			var size int64
			_, err := pgx.ForEachRow(rows, []any{&name, &size}, func() error {
				names, bytes = append(names, name), append(bytes, size)
				return nil
			})
			return err
		})
		return conn.SendBatch(ctx, b).Close()
	})
	return names, bytes, err
}
