package registry

import (
	"context"
	"errors"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Lookup returns a tenant from memory, or asks the control plane once for all
// who ask at the same time. The error wraps tenant.ErrInvalidID,
// tenant.ErrUnknown, or tenant.ErrUnavailable if the control plane could not
// be asked and nothing is remembered.
func (r *Registry) Lookup(ctx context.Context, id tenant.ID) (tenant.Tenant, error) {
	t, err := r.cache.get(id)
	if t == nil && err == nil {
		// What is no ID was never stored, and reaches no database.
		if _, err := tenant.ParseID(string(id)); err != nil {
			return tenant.Tenant{}, err
		}
		t, err = r.ask(ctx, id)
	}
	if err != nil {
		return tenant.Tenant{}, err
	}
	return *t, nil
}

// ask joins or begins a flight, and waits for it as long as ctx allows.
func (r *Registry) ask(ctx context.Context, id tenant.ID) (*tenant.Tenant, error) {
	answer := r.cache.flight.Load().DoChan(string(id), func() (any, error) { return r.fly(ctx, id) })
	select {
	case a := <-answer:
		if a.Err != nil {
			return nil, a.Err
		}
		return a.Val.(*tenant.Tenant), nil
	case <-ctx.Done():
		return nil, failed(ctx, "look up tenant "+string(id), ctx.Err())
	}
}

// fly asks the control plane on behalf of all who wait. It must not end with
// the caller who happened to be the first.
func (r *Registry) fly(ctx context.Context, id tenant.ID) (*tenant.Tenant, error) {
	if !r.begin() {
		return nil, errClosed
	}
	defer r.flights.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.QueryTimeout)
	defer cancel()
	defer context.AfterFunc(r.done, cancel)()

	stripe := r.cache.stripe(id)
	gen := stripe.now()
	// A flight that landed since the caller looked may have brought it.
	if t, err := stripe.get(id); t != nil || err != nil {
		return t, err
	}
	t, left, lease := r.shared.get(ctx, id)
	if t != nil {
		t = r.hinted(t)
		r.cache.put(t, gen, min(left, jittered(r.cfg.TTL)))
		return t, nil
	}
	return r.fetch(ctx, id, gen, lease)
}

// fetch asks the control plane. lease is the shared level's.
func (r *Registry) fetch(ctx context.Context, id tenant.ID, gen uint64, lease string) (*tenant.Tenant, error) {
	rec, err := one(r.questions.Query(ctx, r.sql.get, id))
	switch {
	case errors.Is(err, tenant.ErrInvalidSchema), errors.Is(err, tenant.ErrNoRole):
		return nil, err
	case err != nil:
		if t := r.cache.revive(id, gen); t != nil {
			r.log.WarnContext(ctx, "tenant registry is unavailable, serving a remembered tenant", "tenant", id, "error", err)
			return t, nil
		}
		// The deadline was the registry's own, so it is not the caller's error.
		return nil, failed(context.WithoutCancel(ctx), "look up tenant "+string(id), err)
	case rec == nil:
		err := unknown(id)
		r.cache.putUnknown(id, err, gen)
		r.shared.offer(id, nil, lease)
		return nil, err
	}
	r.shared.offer(id, &rec.Tenant, lease)
	t := r.hinted(&rec.Tenant)
	r.cache.put(t, gen, jittered(r.cfg.TTL))
	return t, nil
}

// Get returns a tenant as the control plane has it now. The error wraps
// tenant.ErrInvalidID, tenant.ErrUnknown or tenant.ErrUnavailable.
func (r *Registry) Get(ctx context.Context, id tenant.ID) (tenant.Tenant, error) {
	if _, err := tenant.ParseID(string(id)); err != nil {
		return tenant.Tenant{}, err
	}
	rec, err := one(r.questions.Query(ctx, r.sql.get, id))
	if err != nil {
		return tenant.Tenant{}, failed(ctx, "get tenant "+string(id), err)
	}
	if rec == nil {
		return tenant.Tenant{}, unknown(id)
	}
	return rec.Tenant, nil
}

// sweep drops entries that have run out.
func (r *Registry) sweep(ctx context.Context) {
	negative, positive := time.NewTicker(r.cfg.NegativeTTL), time.NewTicker(r.cfg.StaleFor)
	defer negative.Stop()
	defer positive.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-negative.C:
			r.cache.sweepUnknown()
			r.byName.negative.DeleteExpired()
			r.migrating.DeleteExpired()
		case now := <-positive.C:
			r.cache.sweep(now)
			r.byName.entries.DeleteExpired()
		}
	}
}
