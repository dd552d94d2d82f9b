package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// SetTierLimits makes l the limits of a tier's tenants, or with quota.TierAny of all
// whose tier has none. Every Governor hears of it. The error wraps ErrInvalidTier,
// quota.ErrInvalidLimits or tenant.ErrUnavailable.
func (r *Registry) SetTierLimits(ctx context.Context, tier tenant.Tier, l quota.Limits) error {
	if err := checkTier(tier); err != nil {
		return err
	}
	if err := l.Validate(); err != nil {
		return fmt.Errorf("limit tier %s: %w", tier, err)
	}
	_, err := r.decide(ctx, "limit tier "+string(tier), r.sql.setTierLimits, tier, l)
	return err
}

// ClearTierLimits takes a tier's limits away: its tenants have those of quota.TierAny.
func (r *Registry) ClearTierLimits(ctx context.Context, tier tenant.Tier) error {
	if err := checkTier(tier); err != nil {
		return err
	}
	_, err := r.decide(ctx, "unlimit tier "+string(tier), r.sql.clearTierLimits, tier)
	return err
}

// SetLimits lays an exception over the limits of a tenant's tier: a JSON object of the
// fields of quota.Limits that are to be other, null for no limit. It replaces the
// exception of before. The error wraps tenant.ErrInvalidID, tenant.ErrUnknown,
// quota.ErrInvalidLimits or tenant.ErrUnavailable.
func (r *Registry) SetLimits(ctx context.Context, id tenant.ID, exception json.RawMessage) error {
	if _, err := tenant.ParseID(string(id)); err != nil {
		return err
	}
	if len(exception) == 0 {
		exception = json.RawMessage("{}")
	}
	if _, err := (quota.Limits{}).With(exception); err != nil {
		return fmt.Errorf("limit tenant %s: %w", id, err)
	}
	tag, err := r.decide(ctx, "limit tenant "+string(id), r.sql.setLimits, id, exception)
	if err == nil && tag.RowsAffected() == 0 {
		return unknown(id)
	}
	return err
}

// ClearLimits takes a tenant's exception away.
func (r *Registry) ClearLimits(ctx context.Context, id tenant.ID) error {
	if _, err := tenant.ParseID(string(id)); err != nil {
		return err
	}
	_, err := r.decide(ctx, "unlimit tenant "+string(id), r.sql.clearLimits, id)
	return err
}

// SetLane says how tenants in quarantine run. Default: DefaultLane.
func (r *Registry) SetLane(ctx context.Context, l quota.Lane) error {
	if err := l.Validate(); err != nil {
		return fmt.Errorf("limit the lane: %w", err)
	}
	_, err := r.decide(ctx, "limit the lane", r.sql.setLane, l)
	return err
}

// ClearLane takes SetLane back.
func (r *Registry) ClearLane(ctx context.Context) error {
	_, err := r.decide(ctx, "unlimit the lane", r.sql.clearLane)
	return err
}

// decide runs a statement that changes the policy, as the context's actor.
func (r *Registry) decide(ctx context.Context, what, sql string, args ...any) (tag pgconn.CommandTag, err error) {
	err = alterTx(ctx, r.questions, func(tx pgx.Tx) (err error) {
		tag, err = tx.Exec(ctx, sql, args...)
		return err
	})
	if err != nil {
		return tag, failed(ctx, what, err)
	}
	return tag, nil
}

// Policy implements quota.Source: all limits, and who is in quarantine or over its
// storage, as the control plane has them now, in one round trip.
func (r *Registry) Policy(ctx context.Context) (quota.Policy, error) {
	p := quota.Policy{
		Tiers: map[tenant.Tier]quota.Limits{}, Tenants: map[tenant.ID]json.RawMessage{}, Lane: DefaultLane(),
		Quarantined: map[tenant.ID]quota.Quarantine{}, Full: map[tenant.ID]int64{},
	}
	b := &pgx.Batch{}
	for _, sql := range []string{r.sql.tierLimits, r.sql.tenantLimits, r.sql.lane, r.sql.inForce, r.sql.full} {
		b.Queue(sql)
	}
	results := r.questions.SendBatch(ctx, b)
	var tier tenant.Tier
	var id tenant.ID
	var raw json.RawMessage
	var q quota.Quarantine
	var size int64
	err := errors.Join(
		each(results, []any{&tier, &raw}, func() error {
			var l quota.Limits
			err := json.Unmarshal(raw, &l)
			p.Tiers[tier] = l
			return err
		}),
		each(results, []any{&id, &raw}, func() error { p.Tenants[id] = slices.Clone(raw); return nil }),
		each(results, []any{&raw}, func() error { return json.Unmarshal(raw, &p.Lane) }),
		each(results, []any{&id, &q.Until, &q.DryRun, &q.Reason, &q.Relapses}, func() error { p.Quarantined[id] = q; return nil }),
		each(results, []any{&id, &size}, func() error { p.Full[id] = size; return nil }),
	)
	if err = errors.Join(err, results.Close()); err != nil {
		return quota.Policy{}, failed(ctx, "read the policy", err)
	}
	return p, nil
}

// each scans the rows of a batch's next result, and calls fn for every one.
func each(results pgx.BatchResults, into []any, fn func() error) error {
	rows, err := results.Query()
	if err == nil {
		_, err = pgx.ForEachRow(rows, into, fn)
	}
	return err
}

// DefaultLane is how tenants in quarantine run where nobody has said otherwise
// (SetLane): ten statements a second of 5 s at most, two at a time, a tenth of a
// connection's time.
func DefaultLane() quota.Lane {
	return quota.Lane{Limits: quota.Limits{
		StatementsPerSecond: 10, Concurrency: 2, Queue: 20, QueueTimeout: quota.Duration(2 * time.Second), DatabaseShare: 0.1,
		StatementTimeout: quota.Duration(5 * time.Second), IdleInTransactionTimeout: quota.Duration(5 * time.Second),
	}}
}

// policyKind begins the notification that the policy may be another.
const policyKind = "q"

// policyWatchers are functions that want to know of another policy.
type policyWatchers struct {
	mu   sync.Mutex // fn is called without it
	fns  map[int]func()
	next int
}

// OnPolicyChange implements quota.Source. fn must not block.
func (r *Registry) OnPolicyChange(fn func()) (cancel func()) {
	w := &r.policyWatchers
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fns == nil {
		w.fns = map[int]func(){}
	}
	key := w.next
	w.next++
	w.fns[key] = fn
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.fns, key)
	}
}

func (w *policyWatchers) tell() {
	w.mu.Lock()
	fns := slices.Collect(maps.Values(w.fns))
	w.mu.Unlock()
	for _, fn := range fns {
		fn()
	}
}
