package doctor

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// confirm looks again at what may have looked wrong only because it was changed between
// two questions. A schema is renamed before its row says so, which may take a moment: it
// is looked at some times more.
func (x *exam) confirm(ctx context.Context) error {
	err := x.keep(ctx, func(Finding) bool { return true })
	renamed := func(f Finding) bool { return f.Kind == WrongSchema }
	for wait := renaming / 8; wait <= renaming && err == nil && slices.ContainsFunc(x.report.Findings, renamed); wait *= 2 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		err = x.keep(ctx, renamed)
	}
	return err
}

// renaming is the longest pause in which a row is awaited that is to say a new name.
const renaming = 400 * time.Millisecond

// keep looks again at the findings of which doubt is true, and keeps what is still so.
func (x *exam) keep(ctx context.Context, doubt func(Finding) bool) error {
	kept := x.report.Findings[:0]
	for _, f := range x.report.Findings {
		if !doubt(f) {
			kept = append(kept, f)
			continue
		}
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
