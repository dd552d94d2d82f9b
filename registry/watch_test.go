package registry

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
)

func TestFindings(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	ctx := t.Context()
	put := func(f Finding) {
		t.Helper()
		if err := r.PutFinding(ctx, f); err != nil {
			t.Fatal(err)
		}
	}
	first := Finding{
		Tenant: "acme", Shard: "a", Process: "p", Cause: "time", Evidence: "7 times its own", Magnitude: 7, Value: 1.5, Baseline: 0.2, Threshold: 1,
		Fingerprint: 1<<63 + 5, Query: "SELECT ?", Since: noon.Add(-time.Minute), Changed: noon, Explanation: []byte(`{"why": 1}`),
	}
	put(first)
	put(Finding{Tenant: "globex", Shard: "b", Process: "p", Query: "a\x00b", Since: noon, Changed: noon.Add(time.Hour)})
	put(Finding{Tenant: "acme", Shard: "a", Process: "q", Since: noon, Changed: noon})
	got := must(r.Findings(ctx, FindingFilter{Open: true}))(t)
	if len(got) != 3 || got[1].Query != "ab" {
		t.Fatalf("%+v", got)
	}
	want := first
	want.ID, want.Opened = got[2].ID, noon
	if fmt.Sprintf("%+v", got[2]) != fmt.Sprintf("%+v", want) {
		t.Errorf("%+v\nwant %+v", got[2], want)
	}
	worse := first
	worse.Magnitude, worse.Changed = 9, noon.Add(time.Minute)
	put(worse)
	over := first
	over.Closed = noon.Add(2 * time.Minute)
	put(over)
	put(over)
	again := first
	again.Changed = noon.Add(2 * time.Hour)
	put(again)
	for what, c := range map[string]struct {
		filter FindingFilter
		want   int
	}{
		"open": {FindingFilter{Open: true}, 3}, "all": {FindingFilter{}, 4}, "tenant": {FindingFilter{Tenant: "acme"}, 3}, "shard": {FindingFilter{Shard: "b"}, 1},
		"since": {FindingFilter{Since: noon.Add(time.Hour)}, 2}, "limit": {FindingFilter{Limit: 1}, 1}, "nonsense": {FindingFilter{Tenant: "\x00"}, 0},
	} {
		if got := must(r.Findings(ctx, c.filter))(t); len(got) != c.want {
			t.Errorf("%s: %+v", what, got)
		}
	}
	all := must(r.Findings(ctx, FindingFilter{Tenant: "acme"}))(t)
	if f := all[2]; f.Magnitude != 9 || !f.Closed.Equal(over.Closed) || !f.Opened.Equal(noon) {
		t.Errorf("%+v", f)
	}
	if _, err := r.Findings(ctx, FindingFilter{Limit: -1}); err == nil {
		t.Error("a negative limit was taken")
	}
}

func TestProcesses(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	ctx := t.Context()
	p := Process{ID: "one", Host: "h", PID: 7, Started: noon, Pools: []pool.Stats{{Shard: "a", Node: "primary", MaxConns: 10, Open: 3, Idle: 1, WaitTime: time.Second}}}
	for _, p := range []Process{{ID: "two", Host: "h", PID: 9}, {ID: "one", Host: "h", PID: 7, Started: noon}, p} {
		if err := r.ReportProcess(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	got := must(r.Processes(ctx))(t)
	if len(got) != 2 || got[0].ID != "one" || got[1].ID != "two" || len(got[1].Pools) != 0 || time.Since(got[0].Seen) > time.Minute {
		t.Fatalf("%+v", got)
	}
	p.Seen = got[0].Seen
	if fmt.Sprintf("%+v", got[0]) != fmt.Sprintf("%+v", p) {
		t.Errorf("%+v\nwant %+v", got[0], p)
	}
	run(t, r.cfg.DSN, "UPDATE tenancy.processes SET seen_at = now() - interval '61 min' WHERE id = 'two'")
	if got := must(r.Processes(ctx))(t); len(got) != 1 {
		t.Errorf("one that says nothing is listed: %+v", got)
	}
	if err := r.ReportProcess(ctx, p); err != nil || query[int](t, r.cfg.DSN, "SELECT count(*)::int FROM tenancy.processes") != 1 {
		t.Errorf("one that says nothing is kept: %v", err)
	}
	if err := r.LeaveProcess(ctx, "one"); err != nil || len(must(r.Processes(ctx))(t)) != 0 {
		t.Errorf("one that ended is listed: %v", err)
	}
}

// TestLostFindings: what a process has found that is gone is closed by the others, and
// what was closed long ago is forgotten.
func TestLostFindings(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	ctx := t.Context()
	before := time.Now().Add(-10 * time.Minute)
	for _, process := range []string{"alive", "gone", "old"} {
		if err := errors.Join(r.PutFinding(ctx, Finding{Tenant: "acme", Process: process, Since: before, Changed: before}), r.ReportProcess(ctx, Process{ID: process})); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(r.LeaveProcess(ctx, "gone"), r.PutFinding(ctx, Finding{Tenant: "acme", Process: "old", Closed: time.Now().Add(-31 * 24 * time.Hour)}), r.ReportProcess(ctx, Process{ID: "alive"})); err != nil {
		t.Fatal(err)
	}
	all := must(r.Findings(ctx, FindingFilter{}))(t)
	if len(all) != 2 || all[0].Process != "gone" || all[0].Closed.IsZero() || all[1].Process != "alive" || !all[1].Closed.IsZero() {
		t.Errorf("%+v", all)
	}
}
