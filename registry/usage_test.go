package registry

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	ctx := t.Context()
	row := UsageRow{
		Tenant: "acme", Shard: "a", At: noon.Add(30 * time.Second), Reads: 1, Writes: 2, DDL: 3, Others: 4, Errors: 5, Rows: 6,
		Replica: 7, RoundTrips: 8, Waits: 9, Commits: 10, Time: 11 * time.Microsecond, Wait: 12 * time.Millisecond,
	}
	later, elsewhere, other := row, row, row
	later.At, elsewhere.Shard, other.Tenant, other.Errors = noon.Add(2*time.Minute), "b", "globex", 50
	for number := range int64(2) {
		for range 3 { // only the first counts
			if err := r.AddUsage(ctx, "p", number+1, []UsageRow{row, row, later, elsewhere, other}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for what, c := range map[string]struct {
		filter UsageFilter
		want   string // of each row, and its reads
	}{
		"hours":          {UsageFilter{Tenant: "acme", Hours: true}, "acme/a/12:00 6, acme/b/12:00 2"},
		"minutes":        {UsageFilter{Tenant: "acme"}, "acme/a/12:00 4, acme/b/12:00 2, acme/a/12:02 2"},
		"until":          {UsageFilter{From: noon, To: noon.Add(time.Minute), By: ByTenant}, "acme//12:00 6, globex//12:00 2"},
		"none":           {UsageFilter{From: noon.Add(time.Hour)}, ""},
		"of a shard":     {UsageFilter{Shard: "b", By: ByTenant}, "acme//12:00 2"},
		"by shard":       {UsageFilter{By: ByShard, Hours: true}, "/a/12:00 8, /b/12:00 2"},
		"most errors":    {UsageFilter{By: ByTenant, Sort: SortErrors, Limit: 1}, "globex//12:00 2"},
		"most time":      {UsageFilter{By: ByTenant, Sort: SortTime}, "acme//12:00 8, globex//12:00 2"},
		"a strange name": {UsageFilter{Tenant: "a\x00"}, ""},
	} {
		var got []string
		for _, u := range must(r.Usage(ctx, c.filter))(t) {
			got = append(got, fmt.Sprintf("%s/%s/%s %d", u.Tenant, u.Shard, u.At.Format("15:04"), u.Reads))
		}
		if all := strings.Join(got, ", "); all != c.want {
			t.Errorf("%s: %s, want %s", what, all, c.want)
		}
	}
	want := other
	want.At = noon
	n := want.counts()
	for i := range n {
		n[i] *= 2
	}
	want.setCounts(n)
	if got := must(r.Usage(ctx, UsageFilter{Tenant: "globex", Hours: true}))(t); len(got) != 1 || got[0] != want || got[0].Statements() != 20 {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	for _, f := range []UsageFilter{{By: 7}, {Sort: 7}, {Limit: -1}} {
		if _, err := r.Usage(ctx, f); err == nil || errors.Is(err, tenant.ErrUnavailable) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	// What was used stays under the ID of then.
	create(t, r, "acme")
	must(r.Rename(ctx, "acme", "acme2"))(t)
	if got := must(r.Usage(ctx, UsageFilter{Tenant: "acme"}))(t); len(got) != 3 {
		t.Errorf("after a rename: %+v", got)
	}
}

// TestUsageInAnyTimeZone: hours begin where UTC's do, whatever the session's zone is.
func TestUsageInAnyTimeZone(t *testing.T) {
	t.Parallel()
	r := open(t, Config{DSN: newDatabase(t) + "&timezone=Asia/Kolkata", HomeShard: "default"})
	if err := r.AddUsage(t.Context(), "p", 1, []UsageRow{{Tenant: "acme", At: noon.Add(40 * time.Minute), Reads: 1}}); err != nil {
		t.Fatal(err)
	}
	if got := must(r.Usage(t.Context(), UsageFilter{Hours: true}))(t); len(got) != 1 || !got[0].At.Equal(noon) {
		t.Errorf("%+v", got)
	}
}

// TestUsageOfManyProcesses: whoever adds at the same time, in whatever order the rows
// come, nobody waits for each other for ever, and everything is added.
func TestUsageOfManyProcesses(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	var regs []*Registry
	for range 4 {
		regs = append(regs, open(t, Config{DSN: dsn, HomeShard: "default"}))
	}
	rows := make([]UsageRow, 500)
	for i := range rows {
		rows[i] = UsageRow{Tenant: tenant.ID(fmt.Sprint("t", i)), Shard: "a", At: noon, Reads: 1}
	}
	var wg sync.WaitGroup
	for i := range 8 {
		mine := append([]UsageRow(nil), rows...)
		rand.Shuffle(len(mine), func(a, b int) { mine[a], mine[b] = mine[b], mine[a] })
		wg.Go(func() {
			for number := range int64(5) {
				if err := regs[i%4].AddUsage(t.Context(), fmt.Sprint("p", i), number+1, mine); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := must(regs[0].Usage(t.Context(), UsageFilter{By: ByShard}))(t); len(got) != 1 || got[0].Reads != 40*500 {
		t.Errorf("%+v", got)
	}
}

func TestTrimUsage(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	r := open(t, Config{DSN: dsn, HomeShard: "default"})
	ctx := t.Context()
	var rows []UsageRow
	for _, ago := range []time.Duration{time.Hour, 47 * time.Hour, 50 * time.Hour, 399 * 24 * time.Hour, 401 * 24 * time.Hour} {
		rows = append(rows, UsageRow{Tenant: "acme", At: time.Now().Add(-ago), Reads: 1})
	}
	if err := r.AddUsage(ctx, "p", 1, rows); err != nil {
		t.Fatal(err)
	}
	// More than two batches.
	run(t, dsn, fmt.Sprintf(`INSERT INTO tenancy.usage SELECT 'minute', now() - interval '3 days', 't' || i, 'a', 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
		FROM generate_series(1, %d) i; INSERT INTO tenancy.usage_batches VALUES ('old', 1, now() - interval '9 days'), ('late', 1, now() - interval '6 days')`, 2*trimBatch+1))
	count := func(what string) int { return query[int](t, dsn, "SELECT count(*)::int FROM tenancy."+what) }
	n := must(r.TrimUsage(ctx, r.cfg.KeepMinutes, r.cfg.KeepHours))(t)
	if n != 2*trimBatch+1+4 || count("usage WHERE span = 'minute'") != 2 || count("usage WHERE span = 'hour'") != 4 || count("usage_batches") != 2 {
		t.Errorf("%d were trimmed: %d minutes, %d hours, %d batches are left", n, count("usage WHERE span = 'minute'"), count("usage WHERE span = 'hour'"), count("usage_batches"))
	}
}

// fillUsage enters 50 minutes from noon on, and the 50 hours before, of n tenants.
func fillUsage(t testing.TB, dsn string, n int) {
	t.Helper()
	run(t, dsn, fmt.Sprintf(`INSERT INTO tenancy.usage SELECT span, timestamptz '2026-03-01 12:00Z' + (i / %[1]d - back) * width,
			't' || lpad((i %% %[1]d)::text, 9, '0'), 'a', 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
		FROM generate_series(0, %[1]d * 50 - 1) i, (VALUES ('minute', interval '1 min', 0), ('hour', interval '1 h', 50)) AS s (span, width, back);
		ANALYZE tenancy.usage`, n))
}

// TestUsagePlans: neither a tenant's history nor the last hour of all reads the table
// from end to end, and neither does what deletes the oldest. Of as many rows as
// -registry.rows says.
func TestUsagePlans(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	fillUsage(t, r.cfg.DSN, *rows/100)
	for what, f := range map[string]UsageFilter{
		"history":  {Tenant: "t000000042", Hours: true},
		"minutes":  {Tenant: "t000000042", From: noon},
		"top":      {From: noon.Add(48 * time.Minute), By: ByTenant, Limit: 10},
		"last two": {From: noon.Add(-2 * time.Hour), By: ByTenant, Hours: true, Sort: SortRows, Limit: 10},
	} {
		where := f.where()
		for i, a := range where.args {
			if at, ok := a.(time.Time); ok {
				where.args[i] = at.Format(time.RFC3339)
			}
		}
		sql := fmt.Sprintf(r.sql.usage, "min(bucket), tenant, ''") + where.String() + " GROUP BY tenant"
		// Without the values a plan cannot know how few rows are that new, and costs so
		// much that PostgreSQL does not choose it.
		if plan := explain(t, r.cfg.DSN, "force_custom_plan", sql, where.args); strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s:\n%s", what, plan)
		}
		begin := time.Now()
		page := must(r.Usage(t.Context(), f))(t)
		t.Logf("%d rows, %-8s %3d in %s", *rows, what, len(page), time.Since(begin))
	}
	plan := explain(t, r.cfg.DSN, "force_generic_plan", r.sql.trimUsage, []any{"minute", 1e9, trimBatch})
	if strings.Contains(plan, "Seq Scan") {
		t.Errorf("trim:\n%s", plan)
	}
}

// BenchmarkAddUsage adds a minute of 10,000 tenants: 10,000 rows by the minute and as
// many by the hour.
func BenchmarkAddUsage(b *testing.B) {
	r := benchmarkRegistry(b)
	const n = 10_000
	rows := make([]UsageRow, n)
	minute := int64(0)
	for b.Loop() {
		for i := range rows {
			rows[i] = UsageRow{Tenant: tenant.ID(fmt.Sprintf("tenant-%06d", i)), Shard: "a", At: noon.Add(time.Duration(minute) * time.Minute), Reads: 1, Time: time.Second}
		}
		minute++
		if err := r.AddUsage(b.Context(), "p", minute, rows); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "rows/s")
}
