package ctl

import (
	"strings"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/registry"
)

// TestUsage: what was used is found by tenant, shard and bucket, within the time that
// was asked for, and in the order that was.
func TestUsage(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "acme", "globex", "idle")
	now := time.Now()
	used := []registry.UsageRow{
		{At: now, Tenant: "acme", Shard: "main", Reads: 10, Errors: 7, Rows: 100, Time: 2 * time.Second},
		{At: now.Add(-2 * time.Hour), Tenant: "acme", Shard: "main", Reads: 1, Time: time.Second},
		{At: now.Add(-100 * time.Hour), Tenant: "acme", Shard: "main", Reads: 5, Time: time.Second},
		{At: now, Tenant: "globex", Shard: "main", Writes: 20, Rows: 5, Time: time.Second, Wait: 3 * time.Second},
		{At: now, Shard: "main", Others: 1, Time: time.Millisecond},
	}
	if err := l.registry(t).AddUsage(t.Context(), "p", 1, used); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, by, want string }{
		{"tenant top", "tenant", "acme/10 globex/20 /1"},
		{"tenant top --by statements -n 2", "tenant", "globex/20 acme/10"},
		{"tenant top --by errors -n 1", "tenant", "acme/10"},
		{"tenant top --by rows -n 1", "tenant", "acme/10"},
		{"tenant top --by wait -n 1", "tenant", "globex/20"},
		{"tenant top --for 5h -n 1", "tenant", "acme/11"},
		{"tenant top --for 30d -n 1", "tenant", "acme/16"},
		{"tenant top --shard other", "tenant", ""},
		{"tenant usage acme", "minute", "acme/1 acme/10"},
		{"tenant usage acme --hours", "hour", "acme/1 acme/10"},
		{"tenant usage acme --for 5d", "hour", "acme/5 acme/1 acme/10"},
		{"tenant usage idle", "minute", ""},
		{"usage", "shard", "main/32"},
		{"usage --by tenant", "tenant", "acme/11 globex/20 /1"},
		{"usage --by tenant --for 1m --limit 1", "tenant", "acme/10"},
	} {
		report := document[usageReport](t, l.do(codeDone, append(strings.Fields(c.args), "-o", "json")...))
		var got []string
		for _, u := range report.Usage {
			who := string(u.Tenant)
			if c.by == "shard" {
				who = u.Shard
			}
			got = append(got, who+"/"+cell(u.Statements))
		}
		if text := strings.Join(got, " "); text != c.want || report.By != c.by || !report.From.Before(report.To) || report.Usage == nil {
			t.Errorf("%s: %q by %s, want %q by %s", c.args, text, report.By, c.want, c.by)
		}
	}
	golden(t, "usage.golden", stable(l.do(codeDone, "tenant", "top").out+l.do(codeDone, "usage").out+l.do(codeDone, "tenant", "usage", "acme", "--for", "1m").out))
	if r := l.do(codeDone, "usage", "--by", "tenant", "-n", "1"); !strings.Contains(r.err, "the first 1") {
		t.Errorf("it hides that there is more: %q", r.err)
	}
	l.do(codeMissing, "tenant", "usage", "nobody")
	for _, args := range []string{"tenant usage A!", "tenant top --by luck", "usage --by luck", "tenant top -n 0", "usage --limit 10001", "usage --for 0s", "usage --for ages", "usage acme"} {
		l.do(codeUsage, strings.Fields(args)...)
	}
}

func TestReadable(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 1234 * time.Nanosecond: "1µs", 123456 * time.Nanosecond: "123µs", 1234567 * time.Nanosecond: "1.23ms",
		12345678 * time.Microsecond: "12.3s", 3*time.Hour + 1234*time.Millisecond: "3h0m1s",
	} {
		if got := readable(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}
