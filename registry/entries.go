package registry

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Entry is a tenant's row, and the mark by which its schema is known wherever it is.
type Entry struct {
	tenant.Tenant
	// Mark is also at the end of the comment on the schema that was made for the
	// tenant; empty if the schema was adopted.
	Mark string
}

// EntryFilter selects rows.
type EntryFilter struct {
	// ID, if not empty, selects one tenant.
	ID tenant.ID
	// After is the last ID of the page before.
	After tenant.ID
	// Limit is the size of the page, at most MaxLimit. Default DefaultLimit.
	Limit int
}

// Entries returns a page of tenants in every state, spare and archived ones too, as the
// control plane has them now, by ID. A page shorter than the limit is the last. The
// error wraps tenant.ErrUnavailable unless the filter is at fault.
func (r *Registry) Entries(ctx context.Context, f EntryFilter) ([]Entry, error) {
	if f.Limit < 0 || f.Limit > MaxLimit {
		return nil, fmt.Errorf("list entries: limit %d is not between 0 and %d", f.Limit, MaxLimit)
	}
	if !(Filter{Prefix: string(f.ID), After: f.After}).matchable() {
		return nil, nil
	}
	where := conditions{}
	where.add("id > $%d", f.After)
	if f.ID != "" {
		where.add("id = $%d", f.ID)
	}
	if f.Limit == 0 {
		f.Limit = DefaultLimit
	}
	rows, err := r.questions.Query(ctx, fmt.Sprintf("%s%s ORDER BY id LIMIT %d", r.sql.list, where, f.Limit), where.args...)
	if err != nil {
		return nil, failed(ctx, "list entries", err)
	}
	page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Entry, error) {
		rec, err := scan(row)
		return Entry{rec.Tenant, rec.origin}, err
	})
	if err != nil {
		return nil, failed(ctx, "list entries", err)
	}
	return page, nil
}

// ParseMark reads the comment on a schema that some registry has made: the ID that its
// tenant had then, and its mark. ok is false for any other comment.
func ParseMark(comment string) (id tenant.ID, mark string, ok bool) {
	rest, ours := strings.CutPrefix(comment, markPrefix)
	name, mark, _ := strings.Cut(rest, " ")
	if !ours || mark == "" {
		return "", "", false
	}
	return tenant.ID(name), mark, true
}

// Abandon undoes a creation that a crash left behind, as the creation itself would have:
// the tenant's row goes, and the schema that was made for it. The error wraps
// tenant.ErrInvalidID, tenant.ErrUnknown, ErrState (it is not being provisioned, not for
// Config.ProvisionTimeout yet, or a process works on it) or tenant.ErrUnavailable.
func (r *Registry) Abandon(ctx context.Context, id tenant.ID) error {
	if _, err := tenant.ParseID(string(id)); err != nil {
		return err
	}
	op := "abandon the creation of tenant " + string(id)
	l, err := r.lock(ctx, id, false)
	if err != nil {
		return err
	}
	if l == nil {
		return fmt.Errorf("%s: another process works on it: %w", op, ErrState)
	}
	defer l.unlock(ctx)
	defer r.forget(id)
	rec, err := alter(ctx, l, r.sql.takeOver, id, r.cfg.ProvisionTimeout.Seconds())
	if err != nil {
		return failed(ctx, op, err)
	}
	if rec == nil {
		t, err := r.Get(ctx, id)
		if err != nil {
			return err
		}
		return fmt.Errorf("%s: it is %s since %s, want %s for %s: %w", op, t.State, t.UpdatedAt, tenant.StateProvisioning, r.cfg.ProvisionTimeout, ErrState)
	}
	if err := r.dropSchema(ctx, rec); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if _, err := alter(ctx, l, r.sql.remove, id, rec.origin, rec.attempt); err != nil {
		return failed(ctx, op, err)
	}
	return nil
}
