package ctl

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	// minutesFor is how long usage is kept by minutes (package warden). What lies behind
	// is known by hours.
	minutesFor = 48 * time.Hour
	// topLimit is how many tenants tenant top shows unless told.
	topLimit = 20
)

// usageReport is the JSON form of what was used.
type usageReport struct {
	By    string      `json:"by"` // tenant, shard, minute or hour
	From  time.Time   `json:"from"`
	To    time.Time   `json:"to"`
	Usage []usageView `json:"usage"`
}

// usageView is the JSON form of what was used by one tenant, on one shard, or within
// one bucket.
type usageView struct {
	At          time.Time `json:"at"`     // the bucket, or the first one
	Tenant      tenant.ID `json:"tenant"` // empty of a shard, and of shared tables
	Shard       string    `json:"shard"`  // empty of a tenant
	Statements  int64     `json:"statements"`
	Reads       int64     `json:"reads"`
	Writes      int64     `json:"writes"`
	DDL         int64     `json:"ddl"`
	Others      int64     `json:"others"`
	Errors      int64     `json:"errors"`
	Rows        int64     `json:"rows"`
	Replica     int64     `json:"replica"` // statements that went to replicas
	RoundTrips  int64     `json:"round_trips"`
	Waits       int64     `json:"waits"` // for a connection
	Commits     int64     `json:"commits"`
	TimeSeconds float64   `json:"time_seconds"` // at the database
	WaitSeconds float64   `json:"wait_seconds"` // for a connection
}

func viewUsage(u registry.UsageRow) usageView {
	return usageView{
		At: u.At, Tenant: u.Tenant, Shard: u.Shard, Statements: u.Statements(), Reads: u.Reads, Writes: u.Writes, DDL: u.DDL, Others: u.Others,
		Errors: u.Errors, Rows: u.Rows, Replica: u.Replica, RoundTrips: u.RoundTrips, Waits: u.Waits, Commits: u.Commits,
		TimeSeconds: u.Time.Seconds(), WaitSeconds: u.Wait.Seconds(),
	}
}

// usageOrders are the words for what comes first.
var usageOrders = map[string]registry.UsageSort{
	"time": registry.SortTime, "statements": registry.SortStatements, "errors": registry.SortErrors, "rows": registry.SortRows, "wait": registry.SortWait,
}

// usageSums are the words for what is summed up.
var usageSums = map[string]registry.UsageBy{"shard": registry.ByShard, "tenant": registry.ByTenant}

// words returns the keys of a map of words.
func words[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// word returns what a flag's word stands for.
func word[T any](flag, text string, m map[string]T) (T, error) {
	v, ok := m[text]
	if !ok {
		return v, usagef("--%s %.32q: want one of %s", flag, text, strings.Join(words(m), ", "))
	}
	return v, nil
}

func (a *app) tenantTop() *cobra.Command {
	f, span, by := registry.UsageFilter{By: registry.ByTenant}, grace{time.Hour, "1h"}, "time"
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show the tenants that used most",
		Long: `Shows the tenants that used most of late, as the processes have counted it (package
warden, every minute). What was done on shared tables has no tenant.`,
		Example: `  tenantctl tenant top
  tenantctl tenant top --by errors --for 10m --shard eu-1 -n 5`,
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.on(func(ctx context.Context, r *registry.Registry, _ []string) (err error) {
			if f.Sort, err = word("by", by, usageOrders); err != nil {
				return err
			}
			return a.listUsage(ctx, r, f, span)
		}),
	}
	cmd.Flags().StringVar(&by, "by", by, "what comes first: "+strings.Join(words(usageOrders), ", "))
	cmd.Flags().StringVar(&f.Shard, "shard", "", "only on this shard")
	complete(cmd, "shard", a.shards)
	fixed(cmd, "by", words(usageOrders)...)
	bindSpan(cmd, &span)
	bindUsageLimit(cmd, &f.Limit, topLimit)
	return cmd
}

func (a *app) tenantUsage() *cobra.Command {
	f, span := registry.UsageFilter{Limit: registry.MaxLimit}, grace{day, "24h"}
	cmd := &cobra.Command{
		Use:   "usage ID",
		Short: "Show what a tenant used, minute by minute or hour by hour",
		Long: `Shows what a tenant used, under the ID that it had then. Minutes are kept for 48 hours,
hours for 400 days: what goes back further is shown by hours.`,
		Example: `  tenantctl tenant usage acme --for 1h
  tenantctl tenant usage acme --for 30d --hours -o json`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(a.tenants),
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) (err error) {
			if f.Tenant, err = tenant.ParseID(args[0]); err != nil {
				return err
			}
			return a.listUsage(ctx, r, f, span)
		}),
	}
	cmd.Flags().BoolVar(&f.Hours, "hours", false, "by hours, not by minutes")
	bindSpan(cmd, &span)
	return cmd
}

func (a *app) usageCommand() *cobra.Command {
	f, span, by := registry.UsageFilter{}, grace{day, "24h"}, "shard"
	cmd := &cobra.Command{
		Use:   "usage",
		Short: "Show what was used, by shard or by tenant",
		Long: `Sums up what was used, as the processes have counted it (package warden, every minute):
who took most database time comes first.`,
		Example: `  tenantctl usage --for 7d
  tenantctl usage --by tenant --limit 10000 -o json`,
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.on(func(ctx context.Context, r *registry.Registry, _ []string) (err error) {
			if f.By, err = word("by", by, usageSums); err != nil {
				return err
			}
			return a.listUsage(ctx, r, f, span)
		}),
	}
	cmd.Flags().StringVar(&by, "by", by, "what is summed up: "+strings.Join(words(usageSums), " or "))
	fixed(cmd, "by", words(usageSums)...)
	bindSpan(cmd, &span)
	bindUsageLimit(cmd, &f.Limit, registry.DefaultLimit)
	return cmd
}

func bindSpan(cmd *cobra.Command, span *grace) {
	cmd.Flags().Var(span, "for", "how far back, such as 10m, 24h or 30d")
}

func bindUsageLimit(cmd *cobra.Command, limit *int, most int) {
	cmd.Flags().IntVarP(limit, "limit", "n", most, "how many at most")
}

func (a *app) listUsage(ctx context.Context, r *registry.Registry, f registry.UsageFilter, span grace) error {
	if span.Duration == 0 {
		return usagef("--for 0: want how far back, such as 24h")
	}
	if f.Limit < 1 || f.Limit > registry.MaxLimit {
		return usagef("--limit %d: want 1 to %d", f.Limit, registry.MaxLimit)
	}
	now := time.Now().UTC()
	since(&f, now, span.Duration)
	rows, err := r.Usage(ctx, f)
	if err == nil && len(rows) == 0 && f.Tenant != "" {
		_, err = r.Get(ctx, f.Tenant) // or a misspelt one would have used nothing
	}
	if err != nil {
		return err
	}
	report := usageReport{By: summedBy(f), From: f.From, To: now, Usage: collect(rows, viewUsage)}
	if err := a.show(report, func(w io.Writer) { tellUsage(w, f, rows) }); err != nil {
		return err
	}
	if len(rows) == f.Limit {
		a.hint("there may be more: these are the first %d", f.Limit)
	}
	return nil
}

// since makes the filter begin so long before now, with a whole bucket.
func since(f *registry.UsageFilter, now time.Time, span time.Duration) {
	bucket := time.Minute
	if f.Hours = f.Hours || span > minutesFor; f.Hours {
		bucket = time.Hour
	}
	f.From = now.Add(-span).Truncate(bucket)
}

func summedBy(f registry.UsageFilter) string {
	switch {
	case f.By == registry.ByTenant:
		return "tenant"
	case f.By == registry.ByShard:
		return "shard"
	case f.Hours:
		return "hour"
	}
	return "minute"
}

func tellUsage(w io.Writer, f registry.UsageFilter, all []registry.UsageRow) {
	first := map[registry.UsageBy]string{registry.ByBucket: "AT", registry.ByTenant: "TENANT", registry.ByShard: "SHARD"}[f.By]
	t := rows{{first, "STATEMENTS", "READS", "WRITES", "ERRORS", "ROWS", "TIME", "MEAN", "WAIT"}}
	for _, u := range all {
		of := any(u.At)
		switch f.By {
		case registry.ByTenant:
			of = u.Tenant
		case registry.ByShard:
			of = u.Shard
		}
		t.add(of, u.Statements(), u.Reads, u.Writes, u.Errors, u.Rows, readable(u.Time), readable(u.Time/time.Duration(max(1, u.Statements()))), readable(u.Wait))
	}
	t.write(w)
}

// readable returns a time with about three digits.
func readable(d time.Duration) string {
	unit := time.Microsecond
	for d >= 1000*unit && unit < time.Second {
		unit *= 10
	}
	return fmt.Sprint(d.Round(unit))
}
