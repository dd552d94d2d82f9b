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

// Filter selects tenants. The zero value selects the first page of all but spare
// ones, which only their State selects.
type Filter struct {
	State  tenant.State
	Tier   tenant.Tier
	Shard  string
	Region string
	Prefix string // of the ID
	// Attributes selects tenants whose attributes contain these, as PostgreSQL's
	// @> does: {"plan": "gold"} those of that plan, whatever else they have.
	Attributes tenant.Attributes
	// BelowVersion, if not 0, selects tenants whose version is smaller.
	BelowVersion int64
	// Deleting selects tenants that are to be deleted; see DeleteAfter.
	Deleting bool
	// Restorable selects archived tenants that Restore brings back. Other archived
	// ones are what a Delete has not finished.
	Restorable bool
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
	if err := f.Attributes.Validate(); err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	if !f.matchable() {
		return nil, nil
	}
	sql, args := f.build(r.sql.list)
	rows, err := r.questions.Query(ctx, sql, args...)
	if err != nil {
		return nil, failed(ctx, "list tenants", err)
	}
	page, err := pgx.CollectRows(rows, scanTenant)
	if err != nil {
		return nil, failed(ctx, "list tenants", err)
	}
	return page, nil
}

// matchable reports whether any tenant can be selected. What no name holds,
// such as a NUL that PostgreSQL would refuse, selects none.
func (f Filter) matchable() bool {
	for _, s := range []string{string(f.Tier), f.Shard, f.Region, f.Prefix, string(f.After)} {
		if strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) {
			return false
		}
	}
	return true
}

// build returns the statement.
func (f Filter) build(list string) (string, []any) {
	where := conditions{}
	if f.State == "" {
		where.plain("state <> 'spare'")
	}
	for _, c := range []struct{ condition, value string }{
		{"state = $%d", string(f.State)},
		{"tier = $%d", string(f.Tier)},
		{"shard = $%d", f.Shard},
		{"region = $%d", f.Region},
		{"attributes @> $%d", string(f.Attributes)},
		{"id > $%d", string(f.After)},
		{"id >= $%d", f.Prefix},
	} {
		if c.value != "" {
			where.add(c.condition, c.value)
		}
	}
	if f.Prefix != "" {
		where.add("id < $%d", f.Prefix+"~") // '~' comes after every byte of an ID
	}
	if f.Deleting {
		where.plain("delete_after IS NOT NULL")
	}
	if f.Restorable {
		where.plain("archive IS NOT NULL AND " + restorable)
	}
	if f.BelowVersion != 0 {
		where.add("version < $%d", f.BelowVersion)
	}
	limit := f.Limit
	if limit == 0 {
		limit = DefaultLimit
	}
	return fmt.Sprintf("%s%s ORDER BY id LIMIT %d", list, where, limit), where.args
}

// conditions are a WHERE. Those that are not asked for are left out, so that
// each combination gets a plan of its own.
type conditions struct {
	texts []string
	args  []any
}

// add adds a condition with one parameter, whose number goes to %d.
func (c *conditions) add(condition string, arg any) {
	c.args = append(c.args, arg)
	c.texts = append(c.texts, fmt.Sprintf(condition, len(c.args)))
}

func (c *conditions) plain(condition string) { c.texts = append(c.texts, condition) }

// String returns the clause, empty without conditions.
func (c conditions) String() string {
	if len(c.texts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.texts, " AND ")
}
