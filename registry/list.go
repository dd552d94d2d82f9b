package registry

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// The sizes of a page, in tenants.
const (
	DefaultLimit = 100
	MaxLimit     = 10_000
)

// Filter selects tenants. The zero value selects the first page of all.
type Filter struct {
	State  tenant.State
	Tier   tenant.Tier
	Shard  string
	Prefix string // of the ID
	// After is the last ID of the page before.
	After tenant.ID
	// Limit is the size of the page, at most MaxLimit. Default DefaultLimit.
	Limit int
}

// List returns a page of tenants as the control plane has them now, in the
// byte order of their IDs. Pass the last one's ID as Filter.After for the next
// page; a page shorter than Filter.Limit is the last. The error wraps
// tenant.ErrUnavailable unless the filter is at fault.
func (r *Registry) List(ctx context.Context, f Filter) ([]tenant.Tenant, error) {
	if f.Limit < 0 || f.Limit > MaxLimit {
		return nil, fmt.Errorf("list tenants: limit %d is not between 0 and %d", f.Limit, MaxLimit)
	}
	if f.State != "" {
		if _, err := tenant.ParseState(string(f.State)); err != nil {
			return nil, fmt.Errorf("list tenants: %w", err)
		}
	}
	if !f.matchable() {
		return nil, nil
	}
	sql, args := f.build(r.sql.list)
	rows, err := r.questions.Query(ctx, sql, args...)
	if err != nil {
		return nil, failed(ctx, "list tenants", err)
	}
	page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (tenant.Tenant, error) {
		rec, err := scan(row)
		return rec.Tenant, err
	})
	if err != nil {
		return nil, failed(ctx, "list tenants", err)
	}
	return page, nil
}

// matchable reports whether any tenant can be selected. What no name holds,
// such as a NUL that PostgreSQL would refuse, selects none.
func (f Filter) matchable() bool {
	for _, s := range []string{string(f.Tier), f.Shard, f.Prefix, string(f.After)} {
		if strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) {
			return false
		}
	}
	return true
}

// build returns the statement. Conditions that are not asked for are left out,
// so that each combination gets a plan of its own.
func (f Filter) build(list string) (string, []any) {
	var where []string
	var args []any
	add := func(condition, value string) {
		if value != "" {
			args = append(args, value)
			where = append(where, fmt.Sprintf(condition, len(args)))
		}
	}
	add("state = $%d", string(f.State))
	add("tier = $%d", string(f.Tier))
	add("shard = $%d", f.Shard)
	add("id > $%d", string(f.After))
	if f.Prefix != "" {
		// '~' comes after every byte of an ID.
		add("id >= $%d", f.Prefix)
		add("id < $%d", f.Prefix+"~")
	}
	if len(where) > 0 {
		list += " WHERE " + strings.Join(where, " AND ")
	}
	limit := f.Limit
	if limit == 0 {
		limit = DefaultLimit
	}
	return fmt.Sprintf("%s ORDER BY id LIMIT %d", list, limit), args
}
