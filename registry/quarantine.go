package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	defaultQuarantine = 10 * time.Minute
	maxQuarantine     = 24 * time.Hour
	// relapseWithin is how soon after a quarantine another one counts as a relapse.
	relapseWithin = 24 * time.Hour
	// defaultShare of a shard's active tenants may be in quarantine.
	defaultShare = 0.02
)

// QuarantineSpec says how to quarantine.
type QuarantineSpec struct {
	// For is how long, for a tenant that had none of late. Default 10 minutes, at most
	// 24 hours. It doubles with each relapse: a quarantine within 24 hours of the end of
	// the one before.
	For    time.Duration
	Reason string
	// DryRun notes it, and has no effect.
	DryRun bool
	// Finding is what led to it, a JSON object; may be nil.
	Finding json.RawMessage
	// MaxShare is how much of a shard's active tenants may be in quarantine. Default
	// 0.02. One always may.
	MaxShare float64
}

// Quarantined is a tenant's last quarantine.
type Quarantined struct {
	Tenant       tenant.ID
	Shard        string
	Since, Until time.Time
	Released     time.Time // by hand; the zero time if it was not
	Relapses     int
	DryRun       bool
	Reason       string
	Finding      json.RawMessage
}

// Active reports whether it is in force, as a dry run or not.
func (q Quarantined) Active(now time.Time) bool { return q.Released.IsZero() && now.Before(q.Until) }

// Quarantine puts a tenant into the lane (quota.Lane) for a while, and returns that. Who
// is there already stays as he is, unless that was a dry run and this is none. The
// error wraps tenant.ErrInvalidID, tenant.ErrUnknown, ErrQuarantineFull or
// tenant.ErrUnavailable.
func (r *Registry) Quarantine(ctx context.Context, id tenant.ID, spec QuarantineSpec) (Quarantined, error) {
	if _, err := tenant.ParseID(string(id)); err != nil {
		return Quarantined{}, err
	}
	if spec.For < 0 || spec.For > maxQuarantine || spec.MaxShare < 0 || spec.MaxShare > 1 {
		return Quarantined{}, fmt.Errorf("quarantine tenant %s: want at most %v, and a share of 0 to 1", id, maxQuarantine)
	}
	if spec.For == 0 {
		spec.For = defaultQuarantine
	}
	if spec.MaxShare == 0 {
		spec.MaxShare = defaultShare
	}
	if spec.Finding != nil && !json.Valid(spec.Finding) {
		return Quarantined{}, fmt.Errorf("quarantine tenant %s: its finding is not JSON", id)
	}
	spec.Reason = printable(spec.Reason)
	var q Quarantined
	err := alterTx(ctx, r.questions, func(tx pgx.Tx) (err error) {
		q, err = r.quarantineIn(ctx, tx, id, spec)
		return err
	})
	if err != nil && !errors.Is(err, ErrQuarantineFull) && !errors.Is(err, tenant.ErrUnknown) {
		err = failed(ctx, "quarantine tenant "+string(id), err)
	}
	return q, err
}

// quarantineIn decides and enters it, while nobody else does so for the shard.
func (r *Registry) quarantineIn(ctx context.Context, tx pgx.Tx, id tenant.ID, spec QuarantineSpec) (Quarantined, error) {
	t, err := one(tx.Query(ctx, r.sql.get, id))
	switch {
	case err != nil:
		return Quarantined{}, err
	case t == nil || t.State == tenant.StateSpare:
		return Quarantined{}, unknown(id)
	}
	shard := t.Placement.Shard
	var now time.Time
	if err := tx.QueryRow(ctx, r.sql.lockLane, "gormtenancy quarantine "+r.cfg.Schema+" "+shard).Scan(nil, &now); err != nil {
		return Quarantined{}, err
	}
	last, err := quarantineOf(ctx, tx, r.sql.quarantineOf, id)
	if err != nil || last != nil && last.Active(now) && (!last.DryRun || spec.DryRun) {
		return deref(last), err
	}
	if !spec.DryRun {
		if err := r.roomIn(ctx, tx, shard, spec.MaxShare); err != nil {
			return Quarantined{}, fmt.Errorf("quarantine tenant %s: %w", id, err)
		}
	}
	relapses := relapsesOf(last, spec.DryRun, now)
	length := min(float64(maxQuarantine), float64(spec.For)*math.Exp2(float64(relapses)))
	_, err = tx.Exec(ctx, r.sql.quarantine, id, length/float64(time.Second), relapses, spec.DryRun, spec.Reason, spec.Finding, now)
	if err != nil {
		return Quarantined{}, err
	}
	q, err := quarantineOf(ctx, tx, r.sql.quarantineOf, id)
	return deref(q), err
}

func deref(q *Quarantined) Quarantined {
	if q == nil {
		return Quarantined{}
	}
	return *q
}

// relapsesOf counts. Who was released by hand is forgiven, and a dry run only counts
// for another one.
func relapsesOf(last *Quarantined, dryRun bool, now time.Time) int {
	if last == nil || !last.Released.IsZero() || last.DryRun != dryRun || now.Sub(last.Until) > relapseWithin {
		return 0
	}
	return last.Relapses + 1
}

// roomIn returns ErrQuarantineFull if no more of a shard's tenants may be in quarantine.
func (r *Registry) roomIn(ctx context.Context, tx pgx.Tx, shard string, share float64) error {
	var active, inside int
	if err := tx.QueryRow(ctx, r.sql.laneUse, shard).Scan(&active, &inside); err != nil {
		return err
	}
	if most := max(1, int(share*float64(active))); inside >= most {
		return fmt.Errorf("%d of %d on shard %s: %w", inside, active, shard, ErrQuarantineFull)
	}
	return nil
}

// Release ends a tenant's quarantine. The error wraps tenant.ErrInvalidID,
// ErrNotQuarantined or tenant.ErrUnavailable.
func (r *Registry) Release(ctx context.Context, id tenant.ID) error {
	if _, err := tenant.ParseID(string(id)); err != nil {
		return err
	}
	tag, err := r.decide(ctx, "release tenant "+string(id), r.sql.release, id)
	if err == nil && tag.RowsAffected() == 0 {
		return fmt.Errorf("tenant %s: %w", id, ErrNotQuarantined)
	}
	return err
}

// Quarantined returns the quarantines in force, dry runs among them, the newest first,
// or with all the last one of each tenant.
func (r *Registry) Quarantined(ctx context.Context, all bool) ([]Quarantined, error) {
	rows, err := r.questions.Query(ctx, r.sql.quarantined, all)
	if err != nil {
		return nil, failed(ctx, "list the quarantine", err)
	}
	list, err := pgx.CollectRows(rows, scanQuarantined)
	if err != nil {
		return nil, failed(ctx, "list the quarantine", err)
	}
	return list, nil
}

func quarantineOf(ctx context.Context, tx pgx.Tx, sql string, id tenant.ID) (*Quarantined, error) {
	rows, err := tx.Query(ctx, sql, id)
	if err != nil {
		return nil, err
	}
	q, err := pgx.CollectExactlyOneRow(rows, scanQuarantined)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &q, err
}

func scanQuarantined(row pgx.CollectableRow) (q Quarantined, err error) {
	var released pgtype.Timestamptz
	err = row.Scan(&q.Tenant, &q.Shard, &q.Since, &q.Until, &released, &q.Relapses, &q.DryRun, &q.Reason, &q.Finding)
	q.Since, q.Until = q.Since.UTC(), q.Until.UTC()
	if released.InfinityModifier == pgtype.Finite {
		q.Released = released.Time.UTC()
	}
	return q, err
}

var _ quota.Source = (*Registry)(nil)
