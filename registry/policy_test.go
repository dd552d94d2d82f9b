package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// A governor on another registry lives by what is set on this one, at once.
func TestPolicyIsPushed(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	r := open(t, Config{DSN: dsn, HomeShard: "default"})
	other := open(t, Config{DSN: dsn})
	acme := create(t, r, "acme")
	g := must(quota.New(quota.Config{Source: other, ReadEvery: time.Hour}))(t)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer g.Stop()
	listening(t, dsn, 2)
	in := func(what string, ok func(e *quota.Effective) bool) {
		t.Helper()
		eventually(t, what, func() bool { return ok(g.Limits(&acme)) })
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := WithActor(t.Context(), "alice")
	check(r.SetTierLimits(ctx, quota.TierAny, quota.Limits{Concurrency: 9}))
	in("everybody's limits", func(e *quota.Effective) bool { return e.Concurrency == 9 })
	check(r.SetTierLimits(ctx, tenant.TierDefault, quota.Limits{Concurrency: 7, RowsPerResult: 70}))
	in("the tier's", func(e *quota.Effective) bool { return e.Concurrency == 7 && e.RowsPerResult == 70 })
	check(r.SetLimits(ctx, "acme", json.RawMessage(`{"concurrency": null, "connections": 3}`)))
	in("the exception", func(e *quota.Effective) bool {
		return e.Concurrency == 0 && e.Connections == 3 && e.RowsPerResult == 70
	})
	check(r.SetLane(ctx, quota.Lane{Limits: quota.Limits{Connections: 1}, ReadReplicasOnly: true}))
	must(r.Quarantine(ctx, "acme", QuarantineSpec{Reason: "noisy"}))(t)
	in("quarantine", func(e *quota.Effective) bool { return e.Quarantined && e.Connections == 1 && e.ReadReplicasOnly })
	check(r.Release(ctx, "acme"))
	in("release", func(e *quota.Effective) bool { return !e.Quarantined && e.Connections == 3 })
	check(errors.Join(r.ClearLimits(ctx, "acme"), r.ClearTierLimits(ctx, tenant.TierDefault)))
	in("everybody's again", func(e *quota.Effective) bool { return e.Concurrency == 9 && e.RowsPerResult == 0 })
	check(r.ClearLane(ctx))
	if p := must(r.Policy(ctx))(t); p.Lane != DefaultLane() || len(p.Quarantined) != 0 {
		t.Errorf("%+v", p)
	}
	// Each change is in the audit trail, with who made it.
	counts := map[string]int{}
	for _, e := range must(r.Events(ctx, EventFilter{}))(t) {
		if e.Actor == "alice" {
			counts[e.Object+" "+e.Action]++
		}
	}
	want := map[string]int{
		"tier_limit insert": 2, "tier_limit delete": 1, "tenant_limit insert": 1, "tenant_limit delete": 1,
		"lane insert": 1, "lane delete": 1, "quarantine insert": 1, "quarantine update": 1,
	}
	if fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("audited %v, want %v", counts, want)
	}
}

func TestBadLimitsAreRefused(t *testing.T) {
	t.Parallel()
	r := open(t, Config{DSN: newDatabase(t), HomeShard: "default"})
	create(t, r, "acme")
	ctx := t.Context()
	for what, c := range map[string]struct{ got, want error }{
		"no tier":      {r.SetTierLimits(ctx, "", quota.Limits{}), ErrInvalidTier},
		"negative":     {r.SetTierLimits(ctx, "pro", quota.Limits{Concurrency: -1}), quota.ErrInvalidLimits},
		"unknown name": {r.SetLimits(ctx, "acme", json.RawMessage(`{"speed": 1}`)), quota.ErrInvalidLimits},
		"no object":    {r.SetLimits(ctx, "acme", json.RawMessage(`3`)), quota.ErrInvalidLimits},
		"nobody":       {r.SetLimits(ctx, "nobody", json.RawMessage(`{}`)), tenant.ErrUnknown},
		"no ID":        {r.SetLimits(ctx, "'; drop", json.RawMessage(`{}`)), tenant.ErrInvalidID},
		"lane":         {r.SetLane(ctx, quota.Lane{Limits: quota.Limits{Connections: -1}}), quota.ErrInvalidLimits},
		"quarantine":   {second(r.Quarantine(ctx, "nobody", QuarantineSpec{})), tenant.ErrUnknown},
		"release":      {r.Release(ctx, "acme"), ErrNotQuarantined},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", what, c.got, c.want)
		}
	}
	if _, err := r.Quarantine(ctx, "acme", QuarantineSpec{For: 25 * time.Hour}); err == nil {
		t.Error("a quarantine of 25 hours was taken")
	}
}

// Quarantine doubles on relapse; a dry run and a release by hand do not count.
func TestQuarantineDoubles(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	r := open(t, Config{DSN: dsn, HomeShard: "default"})
	create(t, r, "acme")
	length := func(spec QuarantineSpec) time.Duration {
		t.Helper()
		q := must(r.Quarantine(t.Context(), "acme", spec))(t)
		if !q.Active(time.Now()) || q.Tenant != "acme" || q.Shard != "default" || q.DryRun != spec.DryRun {
			t.Fatalf("%+v", q)
		}
		return q.Until.Sub(q.Since)
	}
	end := func() {
		t.Helper()
		query[int](t, dsn, "WITH x AS (UPDATE tenancy.quarantines SET since = since - interval '1 day', until = now() - interval '1 hour' RETURNING 1) SELECT 1 FROM x")
	}
	ten := QuarantineSpec{For: 10 * time.Minute, Finding: json.RawMessage(`{"cause": "rows"}`)}
	dry := ten
	dry.DryRun = true
	for i, c := range []struct {
		spec QuarantineSpec
		want time.Duration
		end  func()
	}{
		{dry, 10 * time.Minute, func() {}},
		{ten, 10 * time.Minute, func() {}},                      // takes the dry run's place
		{QuarantineSpec{For: time.Hour}, 10 * time.Minute, end}, // is there already
		{ten, 20 * time.Minute, end},
		{ten, 40 * time.Minute, func() {
			if err := r.Release(t.Context(), "acme"); err != nil {
				t.Fatal(err)
			}
		}},
		{ten, 10 * time.Minute, end},
		{QuarantineSpec{For: 23 * time.Hour}, 24 * time.Hour, end},
	} {
		if got := length(c.spec); got != c.want {
			t.Errorf("step %d: %v, want %v", i, got, c.want)
		}
		c.end()
	}
	if active := must(r.Quarantined(t.Context(), false))(t); len(active) != 0 {
		t.Errorf("%+v", active)
	}
	if all := must(r.Quarantined(t.Context(), true))(t); len(all) != 1 || all[0].Relapses != 1 {
		t.Errorf("%+v", all)
	}
}

// However many ask at the same time, no more than the share of a shard's tenants are in
// quarantine; dry runs do not count.
func TestQuarantineIsCapped(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	r := open(t, Config{DSN: dsn, HomeShard: "default"})
	const tenants = 20
	for i := range tenants {
		create(t, r, tenant.ID(fmt.Sprintf("t%02d", i)))
	}
	others := []*Registry{r, open(t, Config{DSN: dsn}), open(t, Config{DSN: dsn})}
	for i := range tenants {
		must(r.Quarantine(t.Context(), tenant.ID(fmt.Sprintf("t%02d", i)), QuarantineSpec{DryRun: true}))(t)
	}
	var in, full atomic.Int64
	var asking sync.WaitGroup
	for i := range tenants {
		asking.Go(func() {
			_, err := others[i%len(others)].Quarantine(t.Context(), tenant.ID(fmt.Sprintf("t%02d", i)), QuarantineSpec{MaxShare: 0.25})
			switch {
			case err == nil:
				in.Add(1)
			case errors.Is(err, ErrQuarantineFull):
				full.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	asking.Wait()
	if in.Load() != 5 || full.Load() != tenants-5 {
		t.Errorf("%d are in, %d were refused", in.Load(), full.Load())
	}
	active := 0
	for _, q := range must(r.Policy(context.WithoutCancel(t.Context())))(t).Quarantined {
		if !q.DryRun {
			active++
		}
	}
	if active != 5 {
		t.Errorf("%d are in the policy", active)
	}
}

// Who is over its storage is in the policy; an exception or another tier lets it out.
func TestSizes(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	r := open(t, Config{DSN: dsn, HomeShard: "default"})
	create(t, r, "small")
	create(t, r, "large")
	run(t, dsn, `CREATE TABLE tenant_large.t AS SELECT repeat('x', 1000) FROM generate_series(1, 1000)`)
	if n := must(r.MeasureSizes(t.Context()))(t); n != 2 {
		t.Errorf("%d were measured", n)
	}
	sizes := must(r.Sizes(t.Context(), SizeFilter{}))(t)
	if len(sizes) != 2 || sizes[0].Tenant != "large" || sizes[0].Bytes < 1_000_000 || sizes[1].Bytes != 0 {
		t.Fatalf("%+v", sizes)
	}
	full := func() map[tenant.ID]int64 { return must(r.Policy(t.Context()))(t).Full }
	if f := full(); len(f) != 0 {
		t.Errorf("without limits %v", f)
	}
	if err := r.SetTierLimits(t.Context(), quota.TierAny, quota.Limits{StorageBytes: 500_000}); err != nil {
		t.Fatal(err)
	}
	if f := full(); len(f) != 1 || f["large"] != sizes[0].Bytes {
		t.Errorf("%v", f)
	}
	for _, exception := range []string{`{"storage_bytes": null}`, `{"storage_bytes": 5000000}`} {
		if err := r.SetLimits(t.Context(), "large", json.RawMessage(exception)); err != nil {
			t.Fatal(err)
		}
		if f := full(); len(f) != 0 {
			t.Errorf("with %s: %v", exception, f)
		}
	}
}
