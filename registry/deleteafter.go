package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	// duePage is how many tenants that are due are read at a time.
	duePage = 100
	// maxDuePause bounds how long a tenant that could not be deleted is left alone.
	maxDuePause = time.Hour
	// dueActor is who deletes them, in the events.
	dueActor = "delete_after"
)

// DeleteAfter suspends a tenant, and has it deleted once the grace has passed, by
// any process whose Config.DeleteEvery allows it; by the control database's clock,
// and Undelete takes it back until then. Said again, the new time counts. An archived
// tenant that can be restored stays archived, and is forgotten then.
//
// The error wraps tenant.ErrInvalidID, tenant.ErrUnknown, ErrState or
// tenant.ErrUnavailable unless grace is negative.
func (r *Registry) DeleteAfter(ctx context.Context, id tenant.ID, grace time.Duration) (tenant.Tenant, error) {
	if grace < 0 {
		return tenant.Tenant{}, fmt.Errorf("delete tenant %.64q after %s: want a grace that is not negative", id, grace)
	}
	t, err := r.setDeletion(ctx, r.sql.deleteAfter, id, grace.Seconds())
	if err != nil {
		return tenant.Tenant{}, fmt.Errorf("delete tenant %.64q after %s: %w", id, grace, err)
	}
	return t, nil
}

// Undelete takes a DeleteAfter back. The tenant stays suspended: Resume makes it
// serve again. One that was not to be deleted stays as it is. Once its deletion has
// begun, the error is ErrState; otherwise it is as DeleteAfter's.
func (r *Registry) Undelete(ctx context.Context, id tenant.ID) (tenant.Tenant, error) {
	t, err := r.setDeletion(ctx, r.sql.undelete, id)
	if err != nil {
		return tenant.Tenant{}, fmt.Errorf("undelete tenant %.64q: %w", id, err)
	}
	return t, nil
}

func (r *Registry) setDeletion(ctx context.Context, sql string, id tenant.ID, args ...any) (tenant.Tenant, error) {
	if _, err := tenant.ParseID(string(id)); err != nil {
		return tenant.Tenant{}, err
	}
	defer r.forget(id)
	rec, err := alter(ctx, r.questions, sql, append([]any{id}, args...)...)
	if err != nil {
		return tenant.Tenant{}, failed(ctx, "change its row", err)
	}
	if rec != nil {
		return rec.Tenant, nil
	}
	t, err := r.Get(ctx, id)
	if err != nil {
		return tenant.Tenant{}, err
	}
	return tenant.Tenant{}, fmt.Errorf("it is %s: %w", t.State, ErrState)
}

// deleteDue deletes the tenants that are due, every Config.DeleteEvery until ctx ends.
func (r *Registry) deleteDue(ctx context.Context) {
	if r.cfg.DeleteEvery < 0 {
		return
	}
	d := &deleter{r: r, failed: map[tenant.ID]*pauseUntil{}}
	tick := time.NewTicker(jittered(r.cfg.DeleteEvery))
	defer tick.Stop()
	for {
		if err := d.runOnce(ctx, time.Now()); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "tenant registry could not delete tenants that are due", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// deleter deletes tenants that are due, one after the other. What fails is left
// alone for longer each time, so that a shard that is down holds up nobody else.
type deleter struct {
	r      *Registry
	failed map[tenant.ID]*pauseUntil
}

type pauseUntil struct {
	next time.Time
	wait time.Duration
}

// due is a tenant to be deleted.
type due struct {
	ID tenant.ID
	At time.Time
}

// runOnce goes once through all that are due.
func (d *deleter) runOnce(ctx context.Context, now time.Time) error {
	var errs []error
	seen := map[tenant.ID]bool{}
	for after := (due{}); ; {
		rows, err := d.r.questions.Query(ctx, d.r.sql.due, after.At, after.ID, duePage)
		if err != nil {
			return errors.Join(append(errs, failed(ctx, "list tenants that are due", err))...)
		}
		page, err := pgx.CollectRows(rows, pgx.RowToStructByPos[due])
		if err != nil {
			return errors.Join(append(errs, failed(ctx, "list tenants that are due", err))...)
		}
		for _, t := range page {
			after, seen[t.ID] = t, true
			errs = append(errs, d.try(ctx, t.ID, now))
		}
		if len(page) < duePage || ctx.Err() != nil {
			break
		}
	}
	for id := range d.failed {
		if !seen[id] {
			delete(d.failed, id)
		}
	}
	return errors.Join(errs...)
}

// try deletes a tenant, unless it failed a short time ago or another process works on
// it.
func (d *deleter) try(ctx context.Context, id tenant.ID, now time.Time) error {
	p := d.failed[id]
	if p != nil && now.Before(p.next) {
		return nil
	}
	err := d.delete(ctx, id)
	if err == nil {
		delete(d.failed, id)
		return nil
	}
	if p == nil {
		p = &pauseUntil{wait: max(d.r.cfg.DeleteEvery, minBackoff)}
		d.failed[id] = p
	}
	p.next = now.Add(jittered(p.wait))
	p.wait = min(2*p.wait, maxDuePause)
	return err
}

func (d *deleter) delete(ctx context.Context, id tenant.ID) error {
	// The round goes on behind a tenant whose tables are in use.
	ctx, cancel := context.WithTimeout(WithActor(ctx, dueActor), undoTimeout)
	defer cancel()
	l, err := d.r.lock(ctx, id, false)
	if err != nil || l == nil {
		return err
	}
	defer l.unlock(ctx)
	_, err = d.r.deleteLocked(ctx, l, id, false)
	return err
}
