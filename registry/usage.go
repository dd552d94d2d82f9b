package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// UsageRow is what one tenant has used within a time.
type UsageRow struct {
	// At is the start of the bucket; of what is added, any time within. It is the first
	// bucket's where several are summed up.
	At time.Time
	// Tenant is empty where a shard is summed up, and of statements on shared tables.
	Tenant tenant.ID
	Shard  string // empty where a tenant is summed up
	// Statements by kind, and what came of them.
	Reads, Writes, DDL, Others, Errors, Rows, Replica, RoundTrips, Waits, Commits int64
	// Time is that at the database, Wait that for connections, each to a microsecond.
	Time, Wait time.Duration
}

// Statements is their number, of all kinds.
func (u UsageRow) Statements() int64 { return u.Reads + u.Writes + u.DDL + u.Others }

// usageCounters is how many counts a row has.
const usageCounters = 12

// counts are in the order of the columns. Times are in microseconds.
func (u *UsageRow) counts() [usageCounters]int64 {
	return [...]int64{
		u.Reads, u.Writes, u.DDL, u.Others, u.Errors, u.Rows, u.Replica, u.RoundTrips, u.Waits, u.Commits,
		u.Time.Microseconds(), u.Wait.Microseconds(),
	}
}

func (u *UsageRow) setCounts(n [usageCounters]int64) {
	u.Reads, u.Writes, u.DDL, u.Others, u.Errors, u.Rows = n[0], n[1], n[2], n[3], n[4], n[5]
	u.Replica, u.RoundTrips, u.Waits, u.Commits = n[6], n[7], n[8], n[9]
	u.Time, u.Wait = time.Duration(n[10])*time.Microsecond, time.Duration(n[11])*time.Microsecond
}

// AddUsage adds rows to what all processes have used, by minutes and by hours. process
// and number tell the batch: one that is sent again, because it is not known whether it
// was committed, counts once. A process's numbers grow. The error wraps
// tenant.ErrUnavailable.
func (r *Registry) AddUsage(ctx context.Context, process string, number int64, rows []UsageRow) error {
	c := newUsageColumns(len(rows))
	for i := range rows {
		c.add(&rows[i])
	}
	if _, err := r.questions.Exec(ctx, r.sql.addUsage, c.args(process, number)...); err != nil {
		return failed(ctx, "add to the usage", err)
	}
	return nil
}

// usageColumns are rows by column, as unnest wants them.
type usageColumns struct {
	at             []time.Time
	tenants, shard []string
	counts         [usageCounters][]int64
}

func newUsageColumns(n int) *usageColumns {
	c := &usageColumns{at: make([]time.Time, 0, n), tenants: make([]string, 0, n), shard: make([]string, 0, n)}
	for i := range c.counts {
		c.counts[i] = make([]int64, 0, n)
	}
	return c
}

func (c *usageColumns) add(u *UsageRow) {
	c.at = append(c.at, u.At)
	c.tenants = append(c.tenants, string(u.Tenant))
	c.shard = append(c.shard, u.Shard)
	for i, n := range u.counts() {
		c.counts[i] = append(c.counts[i], n)
	}
}

func (c *usageColumns) args(process string, number int64) []any {
	args := []any{process, number, c.at, c.tenants, c.shard}
	for _, column := range c.counts {
		args = append(args, column)
	}
	return args
}

// UsageBy is what usage is summed up by.
type UsageBy int

// The ways to sum up.
const (
	ByBucket UsageBy = iota // nothing: each minute, or hour
	ByTenant
	ByShard
)

// UsageSort is what comes first.
type UsageSort int

// The orders, of which each has the most first. Buckets are in the order of time.
const (
	SortTime UsageSort = iota
	SortStatements
	SortErrors
	SortRows
	SortWait
)

var usageOrders = map[UsageSort]string{
	SortTime: "sum(time_us)", SortStatements: "sum(reads + writes + ddl + others)", SortErrors: "sum(errors)",
	SortRows: "sum(rows)", SortWait: "sum(wait_us)",
}

// UsageFilter selects usage.
type UsageFilter struct {
	Tenant tenant.ID
	Shard  string
	// Hours reads the buckets of hours, which are kept for long, else minutes.
	Hours bool
	// From is the first moment, To the one behind the last; zero: no bound.
	From, To time.Time
	By       UsageBy
	Sort     UsageSort // with ByTenant and ByShard
	Limit    int       // default DefaultLimit, at most MaxLimit
}

// Usage returns what was used. The error wraps tenant.ErrUnavailable unless the filter
// is at fault.
func (r *Registry) Usage(ctx context.Context, f UsageFilter) ([]UsageRow, error) {
	if f.Limit < 0 || f.Limit > MaxLimit {
		return nil, fmt.Errorf("read the usage: limit %d is not between 0 and %d", f.Limit, MaxLimit)
	}
	order, known := usageOrders[f.Sort]
	if !known || f.By < ByBucket || f.By > ByShard {
		return nil, fmt.Errorf("read the usage: neither By %d nor Sort %d may be others than the constants", f.By, f.Sort)
	}
	if !(Filter{Prefix: string(f.Tenant), Shard: f.Shard}).matchable() {
		return nil, nil
	}
	if f.Limit == 0 {
		f.Limit = DefaultLimit
	}
	keys, groups := "bucket, tenant, shard", "bucket, tenant, shard"
	switch f.By {
	case ByBucket:
		order = "bucket, tenant, shard"
	case ByTenant:
		keys, groups, order = "min(bucket), tenant, ''", "tenant", order+" DESC, tenant"
	case ByShard:
		keys, groups, order = "min(bucket), '', shard", "shard", order+" DESC, shard"
	}
	where := f.where()
	sql := fmt.Sprintf(r.sql.usage, keys) + where.String() + " GROUP BY " + groups + " ORDER BY " + order + fmt.Sprintf(" LIMIT %d", f.Limit)
	rows, err := r.questions.Query(ctx, sql, where.args...)
	if err != nil {
		return nil, failed(ctx, "read the usage", err)
	}
	all, err := pgx.CollectRows(rows, scanUsage)
	if err != nil {
		return nil, failed(ctx, "read the usage", err)
	}
	return all, nil
}

func (f UsageFilter) where() conditions {
	where := conditions{}
	span := "minute"
	if f.Hours {
		span = "hour"
	}
	where.add("span = $%d", span)
	if f.Tenant != "" {
		where.add("tenant = $%d", string(f.Tenant))
	}
	if f.Shard != "" {
		where.add("shard = $%d", f.Shard)
	}
	if !f.From.IsZero() {
		where.add("bucket >= $%d", f.From)
	}
	if !f.To.IsZero() {
		where.add("bucket < $%d", f.To)
	}
	return where
}

func scanUsage(row pgx.CollectableRow) (u UsageRow, err error) {
	var took, waited int64
	err = row.Scan(&u.At, &u.Tenant, &u.Shard, &u.Reads, &u.Writes, &u.DDL, &u.Others, &u.Errors, &u.Rows,
		&u.Replica, &u.RoundTrips, &u.Waits, &u.Commits, &took, &waited)
	u.At = u.At.UTC()
	u.Time, u.Wait = time.Duration(took)*time.Microsecond, time.Duration(waited)*time.Microsecond
	return u, err
}

// trimBatch is how many rows of usage are deleted at a time.
const trimBatch = 10_000

// TrimUsage forgets minutes and hours that are older than said, in batches, unless
// another process does so at the time. It returns how many rows there were.
func (r *Registry) TrimUsage(ctx context.Context, minutes, hours time.Duration) (total int64, err error) {
	for span, age := range map[string]time.Duration{"minute": minutes, "hour": hours} {
		for more := true; more; {
			var n int64
			err := pgx.BeginFunc(ctx, r.questions, func(tx pgx.Tx) error {
				var mine bool
				if err := tx.QueryRow(ctx, r.sql.lockTrim, "gormtenancy usage "+r.cfg.Schema).Scan(&mine); err != nil || !mine {
					return err
				}
				tag, err := tx.Exec(ctx, r.sql.trimUsage, span, age.Seconds(), trimBatch)
				n = tag.RowsAffected()
				return err
			})
			if err != nil {
				return total, failed(ctx, "trim the usage", err)
			}
			total, more = total+n, n == trimBatch
		}
	}
	if _, err := r.questions.Exec(ctx, r.sql.trimBatches); err != nil {
		return total, failed(ctx, "trim the usage", err)
	}
	return total, nil
}
