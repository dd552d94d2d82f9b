package registry

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestEventsTellOfEveryChange(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	ctx := WithActor(t.Context(), "alice\n")
	spec := tenant.Spec{ID: "acme", Attributes: `{"seats": 3}`}
	if got := must(r.Create(ctx, spec))(t); got.Attributes != `{"seats": 3}` {
		t.Errorf("%+v", got)
	}
	for _, err := range []error{
		r.Suspend(ctx, "acme"), r.Resume(ctx, "acme"), r.SetTier(ctx, "acme", "pro"), r.SetTier(ctx, "acme", "pro"),
		r.SetAttributes(ctx, "acme", `{"seats": 4}`), r.AddName(ctx, "acme", Alias("x")), errorOf(r.Rename(ctx, "acme", "acme2")),
		r.RemoveName(ctx, Alias("x")), r.Delete(ctx, "acme2"),
		r.AddShard(ctx, tenant.Shard{Name: "far", Primary: "postgres://u:" + password + "@far/db"}), r.RemoveShard(ctx, "far"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, e := range must(r.Events(t.Context(), EventFilter{}))(t) {
		if e.Object == "shard" && e.Actor == "" {
			continue // the home shard, by Open
		}
		if e.Actor != "alice" || e.DBUser == "" || time.Since(e.At) > time.Hour {
			t.Errorf("%+v", e)
		}
		if strings.Contains(string(e.Before)+string(e.After), password) {
			t.Errorf("a password in %+v", e)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s -> %s", e.Tenant, e.Action, e.Object, brief(e.Before), brief(e.After)))
	}
	want := []string{
		`acme insert tenant {} -> all`, `acme update tenant {"state": "provisioning"} -> {"state": "active"}`,
		`acme update tenant {"state": "active"} -> {"state": "suspended"}`, `acme update tenant {"state": "suspended"} -> {"state": "active"}`,
		`acme update tenant {"tier": "standard"} -> {"tier": "pro"}`,
		`acme update tenant {"attributes": {"seats": 3}} -> {"attributes": {"seats": 4}}`,
		`acme insert name {} -> {"kind": "alias", "name": "x", "tenant": "acme"}`,
	}
	for i, w := range want {
		if i >= len(got) || got[i] != w {
			t.Fatalf("event %d of\n%s\nwant %s", i, strings.Join(got, "\n"), w)
		}
	}
	if all := strings.Join(got, "\n"); !strings.Contains(all, `acme2 update tenant {"id": "acme"} -> {"id": "acme2"}`) ||
		!strings.Contains(all, "acme2 delete tenant all -> {}") || !strings.Contains(all, `insert shard {} -> `) || !strings.Contains(all, "delete shard") {
		t.Error(all)
	}
	mine := must(r.Events(t.Context(), EventFilter{Tenant: "acme", Object: "tenant", Limit: 2}))(t)
	if len(mine) != 2 || len(must(r.Events(t.Context(), EventFilter{Tenant: "acme", Object: "tenant", After: mine[1].ID}))(t)) != 4 {
		t.Errorf("pages: %+v", mine)
	}
	if n := must(r.TrimEvents(t.Context(), time.Now().Add(time.Hour)))(t); n == 0 || len(must(r.Events(t.Context(), EventFilter{}))(t)) != 0 {
		t.Errorf("%d trimmed", n)
	}
}

// brief shortens a whole row.
func brief(object []byte) string {
	if strings.Contains(string(object), "schema_name") {
		return "all"
	}
	return string(object)
}

// What is changed by hand is audited too, without an actor.
func TestEventsOfOthers(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	must(r.Create(WithActor(t.Context(), "alice"), tenant.Spec{ID: "acme"}))(t)
	run(t, r.cfg.DSN, "update tenancy.tenants set tier = 'x'")
	all := must(r.Events(t.Context(), EventFilter{Tenant: "acme"}))(t)
	if last := all[len(all)-1]; last.Actor != "" || string(last.After) != `{"tier": "x"}` {
		t.Errorf("%+v", last)
	}
}

func TestListByAttributes(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	must(r.Create(t.Context(), tenant.Spec{ID: "a", Attributes: `{"plan": "gold", "seats": 2}`}))(t)
	must(r.Create(t.Context(), tenant.Spec{ID: "b", Attributes: `{"plan": "iron"}`}))(t)
	create(t, r, "c")
	for filter, want := range map[tenant.Attributes]string{`{"plan": "gold"}`: "a", `{"plan": "tin"}`: "", "": "abc", `{}`: "abc"} {
		var got string
		for _, x := range must(r.List(t.Context(), Filter{Attributes: filter}))(t) {
			got += string(x.ID)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", filter, got, want)
		}
	}
	if _, err := r.List(t.Context(), Filter{Attributes: "nonsense"}); err == nil {
		t.Error("nonsense was taken")
	}
}
