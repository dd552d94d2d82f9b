package registry

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Adopt enters a schema that exists already as an active tenant. It runs no
// DDL but the grants of SetRoles, and no provisioner. The shard is spec.Shard, or the only one, or
// Config.HomeShard. The error wraps tenant.ErrInvalidID,
// tenant.ErrInvalidSchema, tenant.ErrExists, ErrNoSchema, ErrNoShard,
// tenant.ErrUnknownShard or tenant.ErrUnavailable.
func (r *Registry) Adopt(ctx context.Context, spec tenant.Spec) (tenant.Tenant, error) {
	t, err := r.adopt(ctx, spec)
	if err != nil {
		return tenant.Tenant{}, fmt.Errorf("adopt tenant %.64q: %w", spec.ID, err)
	}
	if r.roles.Load() {
		if t, err = r.EnsureRole(ctx, t.ID); err != nil {
			return tenant.Tenant{}, fmt.Errorf("adopt tenant %.64q: it is, but it has no role, say EnsureRole: %w", spec.ID, err)
		}
	}
	return t, nil
}

func (r *Registry) adopt(ctx context.Context, spec tenant.Spec) (tenant.Tenant, error) {
	want, err := r.plan(spec)
	if err != nil {
		return tenant.Tenant{}, err
	}
	if spec.Shard, err = r.adoptionShard(ctx, spec); err != nil {
		return tenant.Tenant{}, err
	}
	if err := r.place(ctx, want, spec); err != nil {
		return tenant.Tenant{}, err
	}
	l, err := r.lock(ctx, want.ID, true)
	if err != nil {
		return tenant.Tenant{}, err
	}
	defer l.unlock(ctx)
	defer r.forget(want.ID)
	if err := r.requireSchema(ctx, want); err != nil {
		return tenant.Tenant{}, err
	}
	want.State = tenant.StateActive
	rec, err := r.insert(ctx, l, want, false)
	if err != nil {
		return tenant.Tenant{}, err
	}
	if rec == nil {
		return tenant.Tenant{}, fmt.Errorf("its ID, or schema %s on shard %s: %w",
			tenant.QuoteIdent(want.Schema), want.Placement.Shard, tenant.ErrExists)
	}
	return rec.Tenant, nil
}

func (r *Registry) requireSchema(ctx context.Context, rec *record) error {
	return r.onShard(ctx, rec.Placement.Shard, func(conn *pgx.Conn) error {
		exists, comment, err := schemaComment(ctx, conn, rec.Schema)
		switch {
		case err != nil:
			return err
		case !exists:
			return fmt.Errorf("schema %s: %w", tenant.QuoteIdent(rec.Schema), ErrNoSchema)
		case strings.HasPrefix(comment, markPrefix) && !strings.HasPrefix(comment, markPrefix+string(rec.ID)+" "):
			return fmt.Errorf("schema %s: its comment says that it was made for another tenant, remove the comment if it was not: %w",
				tenant.QuoteIdent(rec.Schema), tenant.ErrExists)
		}
		return nil
	})
}

// Suspend makes an active tenant refuse every statement (tenant.ErrSuspended)
// and keeps its data. A suspended tenant stays so. The error wraps
// tenant.ErrInvalidID, tenant.ErrUnknown, ErrState or tenant.ErrUnavailable.
func (r *Registry) Suspend(ctx context.Context, id tenant.ID) error {
	return r.change(ctx, "suspend", id, r.sql.suspend, tenant.StateActive, tenant.StateSuspended)
}

// Resume makes a suspended tenant serve again, and gives up an Archive that has
// not dropped anything yet. An active tenant stays so. One that is to be deleted is
// refused with ErrState: take that back first, with Undelete. The error is as
// Suspend's.
func (r *Registry) Resume(ctx context.Context, id tenant.ID) error {
	return r.change(ctx, "resume", id, r.sql.resume, tenant.StateSuspended, tenant.StateActive)
}

func (r *Registry) change(ctx context.Context, verb string, id tenant.ID, sql string, from, to tenant.State) error {
	if _, err := tenant.ParseID(string(id)); err != nil {
		return err
	}
	defer r.forget(id)
	rec, err := alter(ctx, r.questions, sql, id)
	if err != nil {
		return failed(ctx, verb+" tenant "+string(id), err)
	}
	if rec != nil {
		return nil
	}
	t, err := r.Get(ctx, id)
	switch {
	case err != nil || t.State == to:
		return err
	case t.State == from && !t.DeleteAfter.IsZero():
		return fmt.Errorf("%s tenant %s: it is to be deleted, take that back with Undelete first: %w", verb, id, ErrState)
	}
	return fmt.Errorf("%s tenant %s: it is %s, only one that is %s can be: %w", verb, id, t.State, from, ErrState)
}

// SetTier puts the tenant into another tier. The error wraps ErrInvalidTier,
// tenant.ErrInvalidID, tenant.ErrUnknown or tenant.ErrUnavailable.
func (r *Registry) SetTier(ctx context.Context, id tenant.ID, tier tenant.Tier) error {
	if err := checkTier(tier); err != nil {
		return err
	}
	return r.update(ctx, "set the tier of tenant "+string(id), id, r.sql.setTier, tier)
}

// SetAttributes replaces the tenant's attributes. The error wraps
// tenant.ErrInvalidAttributes, tenant.ErrInvalidID, tenant.ErrUnknown or
// tenant.ErrUnavailable.
func (r *Registry) SetAttributes(ctx context.Context, id tenant.ID, a tenant.Attributes) error {
	if err := a.Validate(); err != nil {
		return err
	}
	return r.update(ctx, "set the attributes of tenant "+string(id), id, r.sql.setAttributes, a.String())
}

// update runs a statement that changes one column.
func (r *Registry) update(ctx context.Context, op string, id tenant.ID, sql string, value any) error {
	if _, err := tenant.ParseID(string(id)); err != nil {
		return err
	}
	defer r.forget(id)
	rec, err := alter(ctx, r.questions, sql, id, value)
	if err != nil {
		return failed(ctx, op, err)
	}
	if rec == nil {
		return unknown(id)
	}
	return nil
}

// Delete drops the tenant's schema, with all that is in it and all that depends
// on it, and forgets the tenant. It is final. The tenant stops serving first;
// if the schema cannot be dropped it remains archived, and another Delete
// continues. A schema that was adopted is dropped like one that was created; one of
// more than a hundred tables and views in several transactions. Of a tenant that was
// archived, it forgets the archive; the file is the application's.
//
// It waits for statements that use the tenant's tables, as long as ctx allows, a
// second at a time: whatever else wants such a table waits no longer behind it.
// The error wraps tenant.ErrInvalidID, tenant.ErrUnknown, ErrState (while the
// tenant is being moved) or tenant.ErrUnavailable.
func (r *Registry) Delete(ctx context.Context, id tenant.ID) error {
	if _, err := tenant.ParseID(string(id)); err != nil {
		return err
	}
	l, err := r.lock(ctx, id, true)
	if err != nil {
		return err
	}
	defer l.unlock(ctx)
	gone, err := r.deleteLocked(ctx, l, id, true)
	if err == nil && !gone {
		return r.notRetired(ctx, id)
	}
	return err
}

// deleteLocked deletes a tenant, always or only if it is due. It reports whether its
// state, and its time, allowed that.
func (r *Registry) deleteLocked(ctx context.Context, l *tenantLock, id tenant.ID, always bool) (bool, error) {
	defer r.forget(id)
	op := "delete tenant " + string(id)
	rec, err := alter(ctx, l, r.sql.retire, id, always)
	switch {
	case err != nil:
		return false, failed(ctx, op, err)
	case rec == nil:
		return false, nil
	}
	r.forget(id)
	n, err := r.readNote(ctx, l, id)
	if err == nil {
		err = r.dropRest(ctx, rec, n)
	}
	if err != nil {
		return true, fmt.Errorf("%s: it is %s and serves no more, delete it again to finish: %w", op, rec.State, err)
	}
	if _, err := alter(ctx, l, r.sql.remove, id, rec.origin, rec.attempt); err != nil {
		return true, failed(ctx, op, err)
	}
	return true, nil
}

func (r *Registry) notRetired(ctx context.Context, id tenant.ID) error {
	t, err := r.Get(ctx, id)
	if err != nil {
		return err
	}
	return fmt.Errorf("delete tenant %s: it is %s, wait for the end of that: %w", id, t.State, ErrState)
}
