package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgtool"
	"github.com/gormtenancy/gormtenancy/internal/structure"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// copyOrigin begins the mark's random part of a copy.
const copyOrigin = "copy."

// Copy makes a new tenant, as Create does, and fills it with what another one's schema
// has at one moment: structure, rows, the positions of sequences, goose's versions. The
// source serves meanwhile; it is not migrated or deleted. The copy is proved before it
// serves: each table has as many rows, and the structure the same fingerprint. If
// anything fails or ctx ends, what was made is undone.
//
// What spec leaves out is the source's tier, attributes and region; the shard is found
// as Create does. Owners and privileges are not copied: all belongs to the role of the
// shard's DSN. Host names and aliases stay the source's.
//
// It runs pg_dump (Config.Programs), twice, for the structure only. What the structure
// needs from outside the schema, extensions and functions, must be on the new shard.
// A name that rows hold as a text, for a function that executes it, is copied as it is.
//
// The error wraps ErrNotCopyable for a schema with foreign keys, views or partitions
// that reach out of it, functions that write out its name, or are handed it as a text by
// a trigger or a default, foreign tables, extensions or large objects; ErrPrograms; ErrState if the source neither serves nor is suspended;
// or is as Create's.
func (r *Registry) Copy(ctx context.Context, from tenant.ID, spec tenant.Spec) (tenant.Tenant, error) {
	t, err := r.copy(ctx, from, spec)
	if err != nil {
		return tenant.Tenant{}, fmt.Errorf("copy tenant %.64q to %.64q: %w", from, spec.ID, err)
	}
	r.writers.tell(ctx, t)
	return t, nil
}

func (r *Registry) copy(ctx context.Context, from tenant.ID, spec tenant.Spec) (tenant.Tenant, error) {
	unlock, err := r.hold(ctx, from)
	if err != nil {
		return tenant.Tenant{}, err
	}
	defer unlock()
	source, err := r.copySource(ctx, from, &spec)
	if err != nil {
		return tenant.Tenant{}, err
	}
	want, err := r.plan(spec)
	if err != nil {
		return tenant.Tenant{}, err
	}
	if err := r.place(ctx, want, spec); err != nil {
		return tenant.Tenant{}, err
	}
	fill := func(ctx context.Context, rec *record) error { return r.fillFrom(ctx, source, rec) }
	return r.withRoles(ctx, func() (tenant.Tenant, error) {
		return (&creation{r: r, rec: want, prefix: copyOrigin, end: r.sql.activate, version: source.Version, fill: fill}).perform(ctx)
	})
}

// copySource returns a tenant that can be copied, and fills in what spec leaves out.
func (r *Registry) copySource(ctx context.Context, from tenant.ID, spec *tenant.Spec) (tenant.Tenant, error) {
	source, err := r.Get(ctx, from)
	if err != nil {
		return tenant.Tenant{}, err
	}
	if source.State != tenant.StateActive && source.State != tenant.StateSuspended {
		return tenant.Tenant{}, fmt.Errorf("tenant %s is %s: %w", from, source.State, ErrState)
	}
	if spec.Tier == "" {
		spec.Tier = source.Tier
	}
	if spec.Attributes == "" {
		spec.Attributes = source.Attributes
	}
	if spec.Region == "" && spec.Shard == "" {
		spec.Region = source.Placement.Region
	}
	return source, nil
}

// hold takes a tenant's lock on a connection of its own: copies would wait for each
// other's in the pool.
func (r *Registry) hold(ctx context.Context, id tenant.ID) (unlock func(), err error) {
	if _, err := tenant.ParseID(string(id)); err != nil {
		return nil, err
	}
	conn, err := r.connect(ctx, r.conn)
	if err != nil {
		return nil, failed(ctx, "lock tenant "+string(id), err)
	}
	if _, err := conn.Exec(ctx, lockSQL, lockKey(r.cfg.Schema, id)); err != nil {
		closeConn(ctx, conn)
		return nil, failed(ctx, "lock tenant "+string(id), err)
	}
	return func() { closeConn(ctx, conn) }, nil
}

// copying is one Copy's way from one schema to another.
type copying struct {
	source   tenant.Tenant
	target   *record
	from, to *pgx.Conn
	config   *pgx.ConnConfig // of the source's shard
	tool     pgtool.Tool

	oid       uint32 // of the source's schema
	snapshot  string
	known     map[string]bool // the names in it
	tables    []copyTable
	sequences []string
}

// fillFrom copies a schema into an empty one.
func (r *Registry) fillFrom(ctx context.Context, source tenant.Tenant, target *record) (err error) {
	defer func() {
		if err != nil && ctx.Err() != nil { // the server says it in its own words
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}()
	c := &copying{source: source, target: target}
	if c.from, c.config, err = r.connectTo(ctx, source.Placement.Shard); err != nil {
		return err
	}
	defer closeConn(ctx, c.from)
	if c.to, _, err = r.connectTo(ctx, target.Placement.Shard); err != nil {
		return err
	}
	defer closeConn(ctx, c.to)
	server, err := structure.Major(c.from)
	if err != nil {
		return err
	}
	if c.tool, err = pgtool.Find(ctx, r.cfg.Programs, "pg_dump", server); err != nil {
		return err
	}
	if err := c.begin(ctx); err != nil {
		return fmt.Errorf("shard %s: %w", source.Placement.Shard, err)
	}
	if err := c.transfer(ctx); err != nil {
		return err
	}
	return c.prove(ctx)
}

// connectTo opens a connection of its own to a shard's primary.
func (r *Registry) connectTo(ctx context.Context, shard string) (*pgx.Conn, *pgx.ConnConfig, error) {
	config, err := r.ShardConfig(ctx, shard)
	if err != nil {
		return nil, nil, err
	}
	awaitAnswers(config)
	conn, err := r.connect(ctx, config)
	if err != nil {
		return nil, nil, fmt.Errorf("shard %s: %w", shard, err)
	}
	return conn, config, nil
}

// transfer fills the target in one transaction.
func (c *copying) transfer(ctx context.Context) error {
	before, after, err := c.dump(ctx)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, c.to, func(tx pgx.Tx) error {
		if err := unlimited(ctx, c.to, c.target.Schema); err != nil {
			return err
		}
		if err := c.define(ctx, before); err != nil {
			return err
		}
		for _, t := range c.tables {
			if err := c.stream(ctx, t); err != nil {
				return fmt.Errorf("table %s: %w", t.name, err)
			}
		}
		// Now they are beyond whatever was copied.
		if err := c.position(ctx); err != nil {
			return err
		}
		if err := c.define(ctx, after); err != nil {
			return err
		}
		return c.refresh(ctx)
	})
}

// define runs DDL of the target.
func (c *copying) define(ctx context.Context, sql string) error {
	if _, err := c.to.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return fmt.Errorf("make what schema %s has, on shard %s: %w", tenant.QuoteIdent(c.source.Schema), c.target.Placement.Shard, err)
	}
	return nil
}

// prove compares the structures.
func (c *copying) prove(ctx context.Context) error {
	if _, err := c.from.Exec(ctx, "ROLLBACK"); err != nil {
		return err
	}
	was, err := structure.One(ctx, c.from, c.source.Schema)
	if err != nil {
		return err
	}
	is, err := structure.One(ctx, c.to, c.target.Schema)
	if err != nil {
		return err
	}
	diff := structure.Diff(was.Structure, is.Structure)
	if len(diff) == 0 {
		return nil
	}
	var lines []string
	for _, d := range diff[:min(len(diff), 5)] {
		lines = append(lines, d.String())
	}
	return fmt.Errorf("%w: the copy is not like its source, unless that was changed meanwhile: %d differences: %s", ErrNotCopyable, len(diff), strings.Join(lines, "; "))
}

// sameTables reports whether two lists are of the same tables, with the same columns.
func sameTables(a, b []copyTable) bool {
	return slices.EqualFunc(a, b, func(x, y copyTable) bool { return x.oid == y.oid && x.columns == y.columns })
}
