package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/structure"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// FixOptions say how to mend.
type FixOptions struct {
	// DryRun only tells what would be done.
	DryRun bool
	// ScratchAfter is as in Options.
	ScratchAfter time.Duration
	// Observe, if not nil, is called after each finding.
	Observe func(Fixed)
}

// Fixed is a finding that could be mended.
type Fixed struct {
	Finding Finding `json:"finding"`
	// Done is whether it is mended; in a dry run, nothing is.
	Done bool `json:"done"`
	// Error is why not, or empty.
	Error string `json:"error,omitempty"`
	err   error
}

// errMended says that there was nothing to do any more.
var errMended = errors.New("it is not so any more")

// Fix mends the findings of a report that are Fixable, and no other. What it changes in
// the registry is an event of the context's actor (registry.WithActor). The error joins
// those of what could not be mended, which others do not keep from being mended.
func Fix(ctx context.Context, reg *registry.Registry, r *Report, o FixOptions) ([]Fixed, error) {
	if o.ScratchAfter == 0 {
		o.ScratchAfter = time.Hour
	}
	locks, err := reg.Locks(ctx)
	if err != nil {
		return nil, fmt.Errorf("doctor: %w", err)
	}
	defer locks.Close(ctx)
	m := &mender{reg: reg, locks: locks, opts: o}
	var all []Fixed
	var errs []error
	for _, f := range r.Findings {
		if !f.Fixable {
			continue
		}
		done := Fixed{Finding: f}
		if !o.DryRun {
			done.err = m.mend(ctx, f)
			done.Done = done.err == nil || errors.Is(done.err, errMended)
		}
		if !done.Done && done.err != nil {
			done.Error = done.err.Error()
			errs = append(errs, fmt.Errorf("%s of %s: %w", f.Kind, f.Schema, done.err))
		}
		if all = append(all, done); o.Observe != nil {
			o.Observe(done)
		}
	}
	if len(errs) > 0 {
		return all, fmt.Errorf("doctor: %w", errors.Join(errs...))
	}
	return all, nil
}

type mender struct {
	reg   *registry.Registry
	locks migrations.Locks
	opts  FixOptions
}

func (m *mender) mend(ctx context.Context, f Finding) error {
	switch f.Kind {
	case VersionMismatch:
		return m.register(ctx, f)
	case StuckProvisioning:
		err := m.reg.Abandon(ctx, f.Tenant)
		if errors.Is(err, tenant.ErrUnknown) {
			return errMended
		}
		return err
	case LeftoverScratch:
		return m.onShard(ctx, f.Shard, func(conn *pgx.Conn) error { return m.dropScratch(ctx, conn, f.Schema) })
	}
	return fmt.Errorf("it cannot be mended: %s", f.Remedy)
}

func (m *mender) onShard(ctx context.Context, shard string, fn func(*pgx.Conn) error) error {
	config, err := m.reg.ShardConfig(ctx, shard)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("shard %s: %w", shard, err)
	}
	defer bye(ctx, conn)
	return fn(conn)
}

// register enters, under the tenant's lock, the version that its schema has by then.
func (m *mender) register(ctx context.Context, f Finding) (err error) {
	held, err := m.locks.Try(ctx, []tenant.ID{f.Tenant})
	if err != nil {
		return err
	}
	if len(held.Tenants) == 0 {
		if len(held.Gone) > 0 {
			return errMended
		}
		return errors.New("another process works on it: fix again later")
	}
	t := held.Tenants[0]
	versions := map[tenant.ID]int64{}
	defer func() { err = errors.Join(m.locks.Finish(context.WithoutCancel(ctx), held.Tenants, versions), err) }()
	if t.State == tenant.StateMoving {
		return errors.New("it is being moved: fix again later")
	}
	return m.onShard(ctx, t.Placement.Shard, func(conn *pgx.Conn) error {
		r, err := structure.One(ctx, conn, t.Schema)
		switch {
		case err != nil:
			return err
		case !r.Structure.Versioned():
			return fmt.Errorf("it has no table %s any more", structure.VersionTable)
		case r.Version == t.Version:
			return errMended
		}
		versions[t.ID] = r.Version
		return nil
	})
}

const commentSQL = `SELECT coalesce(pg_catalog.obj_description(oid, 'pg_namespace'), '') FROM pg_catalog.pg_namespace WHERE nspname = $1`

func (m *mender) dropScratch(ctx context.Context, conn *pgx.Conn, name string) error {
	var comment string
	err := conn.QueryRow(ctx, commentSQL, name).Scan(&comment)
	if errors.Is(err, pgx.ErrNoRows) {
		return errMended
	}
	if err != nil {
		return err
	}
	if at, ok := migrations.ScratchSince(comment); !ok || time.Since(at) < m.opts.ScratchAfter {
		return errors.New("its comment does not say that it is old enough")
	}
	_, err = conn.Exec(ctx, "DROP SCHEMA "+tenant.QuoteIdent(name)+" CASCADE")
	return err
}
