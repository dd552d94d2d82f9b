package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Event is a change of the control plane, as it was committed.
type Event struct {
	ID     int64
	At     time.Time
	Tenant tenant.ID // its ID after the change; empty where it was about no tenant
	Object string    // tenant, name, shard, tier_limit, tenant_limit, lane or quarantine
	Action string    // insert, update or delete
	Actor  string    // see WithActor; empty where nobody said
	DBUser string    // the role of the session
	// Before and After are JSON objects of the row's columns: of an update only
	// those that have changed. A shard's DSNs are hidden.
	Before, After json.RawMessage
}

// EventFilter selects events. The zero value selects the oldest ones.
type EventFilter struct {
	Tenant tenant.ID
	Object string
	Since  time.Time
	// After is the ID of the last event of the page before.
	After int64
	// Limit is the size of the page, at most MaxLimit. Default DefaultLimit.
	Limit int
}

// Events returns a page of changes, in the order of their IDs: nearly that of
// their commits. The error wraps tenant.ErrUnavailable unless the filter is at
// fault.
func (r *Registry) Events(ctx context.Context, f EventFilter) ([]Event, error) {
	if f.Limit < 0 || f.Limit > MaxLimit {
		return nil, fmt.Errorf("list events: limit %d is not between 0 and %d", f.Limit, MaxLimit)
	}
	if !(Filter{Prefix: string(f.Tenant), Shard: f.Object}).matchable() {
		return nil, nil
	}
	if f.Limit == 0 {
		f.Limit = DefaultLimit
	}
	where := conditions{}
	where.add("id > $%d", f.After)
	if f.Tenant != "" {
		where.add("tenant = $%d", string(f.Tenant))
	}
	if f.Object != "" {
		where.add("object = $%d", f.Object)
	}
	if !f.Since.IsZero() {
		where.add("at >= $%d", f.Since)
	}
	rows, err := r.questions.Query(ctx, fmt.Sprintf("%s%s ORDER BY id LIMIT %d", r.sql.events, where, f.Limit), where.args...)
	if err != nil {
		return nil, failed(ctx, "list events", err)
	}
	page, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Event])
	if err != nil {
		return nil, failed(ctx, "list events", err)
	}
	return page, nil
}

// TrimEvents forgets the events before a time, and returns how many there were.
func (r *Registry) TrimEvents(ctx context.Context, before time.Time) (int64, error) {
	tag, err := r.questions.Exec(ctx, r.sql.trimEvents, before)
	if err != nil {
		return 0, failed(ctx, "trim events", err)
	}
	return tag.RowsAffected(), nil
}
