package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Finding is what a process's outlier detector (package outlier) has found.
type Finding struct {
	ID       int64
	Process  string // see Process.ID
	Tenant   tenant.ID
	Shard    string
	Cause    string
	Evidence string // a sentence
	// Magnitude is how many times the baseline it is. Value, Baseline and Threshold are
	// in the cause's unit.
	Magnitude, Value, Baseline, Threshold float64
	// Fingerprint and Query are of the statement that took most time; 0 and empty: none.
	Fingerprint uint64
	Query       string
	// Since is when it began, Opened when it was found, Changed when it was told last,
	// and Closed when it was over, the zero time while it is not.
	Since, Opened, Changed, Closed time.Time
	Explanation                    json.RawMessage
}

// PutFinding enters a finding, or what has become of the one that is open for the same
// process and tenant; with Closed set, it is closed. The error wraps
// tenant.ErrUnavailable.
func (r *Registry) PutFinding(ctx context.Context, f Finding) error {
	var err error
	if f.Closed.IsZero() {
		_, err = r.questions.Exec(ctx, r.sql.openFinding, f.Process, f.Tenant, f.Shard, f.Cause, f.Evidence, f.Magnitude, f.Value, f.Baseline,
			f.Threshold, int64(f.Fingerprint), printable(f.Query), f.Since, f.Changed, f.Explanation)
	} else {
		_, err = r.questions.Exec(ctx, r.sql.closeFinding, f.Process, f.Tenant, f.Closed)
	}
	if err != nil {
		return failed(ctx, "enter a finding", err)
	}
	return nil
}

// FindingFilter selects findings.
type FindingFilter struct {
	Tenant tenant.ID
	Shard  string
	Open   bool      // only those that are not over
	Since  time.Time // told since then
	Limit  int       // default DefaultLimit, at most MaxLimit
}

// Findings returns findings, the newest first. The error wraps tenant.ErrUnavailable
// unless the filter is at fault.
func (r *Registry) Findings(ctx context.Context, f FindingFilter) ([]Finding, error) {
	if f.Limit < 0 || f.Limit > MaxLimit {
		return nil, fmt.Errorf("list findings: limit %d is not between 0 and %d", f.Limit, MaxLimit)
	}
	if !(Filter{Prefix: string(f.Tenant), Shard: f.Shard}).matchable() {
		return nil, nil
	}
	if f.Limit == 0 {
		f.Limit = DefaultLimit
	}
	where := conditions{}
	where.add("id > $%d", 0)
	if f.Tenant != "" {
		where.add("tenant = $%d", string(f.Tenant))
	}
	if f.Shard != "" {
		where.add("shard = $%d", f.Shard)
	}
	if f.Open {
		where.add("closed_at IS NULL AND $%d", true)
	}
	if !f.Since.IsZero() {
		where.add("changed_at >= $%d", f.Since)
	}
	rows, err := r.questions.Query(ctx, fmt.Sprintf("%s%s ORDER BY id DESC LIMIT %d", r.sql.findings, where, f.Limit), where.args...)
	if err != nil {
		return nil, failed(ctx, "list findings", err)
	}
	all, err := pgx.CollectRows(rows, scanFinding)
	if err != nil {
		return nil, failed(ctx, "list findings", err)
	}
	return all, nil
}

func scanFinding(row pgx.CollectableRow) (f Finding, err error) {
	var fingerprint int64
	var closed pgtype.Timestamptz
	err = row.Scan(&f.ID, &f.Process, &f.Tenant, &f.Shard, &f.Cause, &f.Evidence, &f.Magnitude, &f.Value, &f.Baseline, &f.Threshold,
		&fingerprint, &f.Query, &f.Since, &f.Opened, &f.Changed, &closed, &f.Explanation)
	f.Fingerprint = uint64(fingerprint)
	f.Since, f.Opened, f.Changed = f.Since.UTC(), f.Opened.UTC(), f.Changed.UTC()
	if closed.InfinityModifier == pgtype.Finite {
		f.Closed = closed.Time.UTC()
	}
	return f, err
}
