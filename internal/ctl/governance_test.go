package ctl

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
	"github.com/gormtenancy/gormtenancy/registry"
)

// document reads what a command printed with -o json.
func document[T any](t *testing.T, r result) (doc T) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.out), &doc); err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	return doc
}

func (l *lab) registry(t *testing.T) *registry.Registry {
	t.Helper()
	r, err := registry.Open(t.Context(), registry.Config{DSN: l.dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func TestLimitsAndQuarantine(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "acme", "globex")
	l.do(codeDone, "limits", "set", "--tier", "*", "concurrency=4", "statement_timeout=5s")
	l.do(codeDone, "limits", "set", "--tenant", "acme", "concurrency=none", "rows_per_result=10")
	l.do(codeDone, "limits", "set", "--lane", "connections=1", "read_replicas_only=true")
	list := document[limitList](t, l.do(codeDone, "limits", "list", "-o", "json"))
	if any := list.Tiers["*"]; any.Concurrency != 4 || time.Duration(any.StatementTimeout) != 5*time.Second ||
		strings.Join(strings.Fields(string(list.Tenants["acme"])), "") != `{"concurrency":null,"rows_per_result":10}` || list.Lane.Connections != 1 || !list.Lane.ReadReplicasOnly {
		t.Errorf("%+v", list)
	}
	if table := l.do(codeDone, "limits", "list").out; !strings.Contains(table, "acme") || !strings.Contains(table, `"concurrency":4`) {
		t.Error(table)
	}
	l.do(codeUsage, "limits", "set", "--tier", "free", "speed=1")
	l.do(codeUsage, "limits", "set", "--tier", "free", "concurrency=-1")
	l.do(codeUsage, "limits", "set", "--tier", "free", "concurrency")
	l.do(codeUsage, "limits", "set", "--lane", "speed=1")
	l.do(codeUsage, "limits", "set", "concurrency=1")
	l.do(codeMissing, "limits", "set", "--tenant", "nobody", "concurrency=1")
	for _, args := range [][]string{{"--tier", "*"}, {"--tenant", "acme"}, {"--lane"}} {
		l.do(codeDone, append([]string{"limits", "unset"}, args...)...)
	}
	if list = document[limitList](t, l.do(codeDone, "limits", "list", "-o", "json")); len(list.Tiers)+len(list.Tenants) != 0 {
		t.Errorf("%+v", list)
	}

	l.do(codeDone, "tenant", "quarantine", "globex", "--trial")
	l.do(codeDone, "tenant", "quarantine", "acme", "--for", "30m", "--reason", "by hand")
	l.do(codeRefused, "tenant", "quarantine", "globex") // one of two is as many as may be
	l.do(codeMissing, "tenant", "quarantine", "nobody")
	l.do(codeUsage, "tenant", "quarantine", "acme", "--for", "48h")
	in := document[quarantineList](t, l.do(codeDone, "tenant", "quarantined", "-o", "json")).Quarantined
	if len(in) != 2 || in[0].Tenant != "acme" || in[0].Reason != "by hand" || in[0].Trial || !in[1].Trial {
		t.Errorf("%+v", in)
	}
	l.do(codeDone, "tenant", "release", "acme")
	l.do(codeRefused, "tenant", "release", "acme")
	if table := l.do(codeDone, "tenant", "quarantined", "--all").out; !strings.Contains(table, "released") || !strings.Contains(table, "trial") {
		t.Error(table)
	}
	if events := l.do(codeDone, "tenant", "events", "acme", "--object", "quarantine").out; strings.Count(events, "tester") != 2 {
		t.Error(events)
	}
}

func TestOutliers(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "acme")
	r := l.registry(t)
	now := time.Now()
	f := registry.Finding{
		Process: "p", Tenant: "acme", Shard: "main", Cause: "rows", Evidence: "many rows", Magnitude: 7.5, Query: "select ?", Fingerprint: 1 << 63,
		Since: now, Changed: now, Explanation: json.RawMessage(`{"summary": "it reads too much", "signals": [{"name": "rows", "why": "fifty times as many"}]}`),
	}
	if err := r.PutFinding(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if table := l.do(codeDone, "tenants", "outliers").out; !strings.Contains(table, "acme") || !strings.Contains(table, "7.5") || !strings.Contains(table, "select ?") {
		t.Error(table)
	}
	if text := l.do(codeDone, "tenant", "outliers", "acme", "--explain").out; !strings.Contains(text, "many rows") || !strings.Contains(text, "fifty times as many") {
		t.Error(text)
	}
	got := document[outlierList](t, l.do(codeDone, "tenant", "outliers", "-o", "json")).Outliers
	if len(got) != 1 || got[0].Fingerprint != "8000000000000000" || got[0].ClosedAt != nil {
		t.Errorf("%+v", got)
	}
	f.Closed = now
	if err := r.PutFinding(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]int{"": 0, "--all": 1, "--all --shard main": 1, "--all --shard x": 0, "globex --all": 0} {
		all := append([]string{"tenant", "outliers", "-o", "json"}, strings.Fields(args)...)
		if got := document[outlierList](t, l.do(codeDone, all...)).Outliers; len(got) != want {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

func TestPools(t *testing.T) {
	t.Parallel()
	l := newFleet(t)
	r := l.registry(t)
	one := pool.Stats{Shard: "main", Node: "primary", Open: 3, Idle: 1, MaxConns: 5, Breaker: "closed", RetiredIdle: 2, MostTenants: 4}
	two := one
	two.Login, two.Breaker = "login", "open"
	for _, p := range []registry.Process{
		{ID: "a", Host: "h1", PID: 1, Started: time.Now(), Pools: []pool.Stats{one, two}},
		{ID: "b", Host: "h2", PID: 2, Started: time.Now(), Pools: []pool.Stats{one}},
	} {
		if err := r.ReportProcess(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	report := document[poolReport](t, l.do(codeDone, "pools", "-o", "json"))
	if len(report.Processes) != 2 || len(report.Nodes) != 1 {
		t.Fatalf("%+v", report)
	}
	if n := report.Nodes[0]; n.Open != 9 || n.InUse != 6 || n.Max != 15 || n.Breaker != "open" || n.Retired["idle"] != 6 || n.MostTenants != 4 {
		t.Errorf("%+v", n)
	}
	if table := l.do(codeDone, "pools").out; !strings.Contains(table, "h1/1") || !strings.Contains(table, "all") {
		t.Error(table)
	}
	processes, err := r.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if late := reportPools(processes, time.Now().Add(2*time.Minute)); !late.Processes[0].Silent || len(late.Nodes) != 0 {
		t.Errorf("%+v", late)
	}
}
