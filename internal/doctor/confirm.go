package doctor

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// confirm looks again at what may have looked wrong only because it was changed between
// two questions.
func (x *exam) confirm(ctx context.Context) error {
	kept := x.report.Findings[:0]
	for _, f := range x.report.Findings {
		still, err := x.still(ctx, f)
		if err != nil {
			return err
		}
		if still {
			kept = append(kept, f)
		}
	}
	x.report.Findings = kept
	return nil
}

func (x *exam) still(ctx context.Context, f Finding) (bool, error) {
	switch f.Kind {
	case OrphanSchema:
		return x.wards[f.Shard].has(ctx, f.Schema)
	case MissingSchema, WrongShard, WrongSchema, DuplicateSchema, ArchivedSchema, VersionMismatch, Behind, StuckProvisioning:
	default:
		return true, nil
	}
	page, err := x.reg.Entries(ctx, registry.EntryFilter{ID: f.Tenant})
	if err != nil || len(page) == 0 {
		return false, err
	}
	now := page[0]
	switch f.Kind {
	case StuckProvisioning:
		return now.State == tenant.StateProvisioning, nil
	case VersionMismatch, Behind:
		return now.Version == f.Registered, nil
	}
	w := x.wards[now.Placement.Shard]
	if w == nil || w.err != nil {
		return true, nil
	}
	there, err := w.has(ctx, now.Schema)
	if err != nil {
		return false, err
	}
	switch f.Kind {
	case DuplicateSchema:
		second, err := x.wards[f.Shard].has(ctx, f.Schema)
		return there && second && now.State != tenant.StateMoving, err
	case ArchivedSchema:
		return there, nil
	}
	return !there, nil
}

// has reports whether a schema is there now. A shard that fails has it.
func (w *ward) has(ctx context.Context, name string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var oid uint32
	err := w.conn.QueryRow(ctx, "SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1", name).Scan(&oid)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err != nil && ctx.Err() == nil:
		w.fail(err)
		return true, nil
	}
	return true, err
}
