package registry

import (
	"errors"
	"testing"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestList(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	run(t, r.cfg.DSN, `INSERT INTO tenancy.tenants (id, schema_name, state, tier, shard)
		SELECT 't' || s || CASE i WHEN 0 THEN '-' ELSE '_' END || i, 's' || s || '-' || i,
			CASE WHEN i % 2 = 0 THEN 'active' ELSE 'suspended' END, CASE s WHEN 1 THEN 'pro' ELSE 'standard' END, 'default'
		FROM generate_series(1, 3) s, generate_series(0, 9) i`)
	var all []tenant.ID
	for f := (Filter{Limit: 7}); ; f.After = all[len(all)-1] {
		page := must(r.List(t.Context(), f))(t)
		for _, got := range page {
			if len(all) > 0 && got.ID <= all[len(all)-1] {
				t.Fatalf("%s after %s", got.ID, all[len(all)-1])
			}
			all = append(all, got.ID)
		}
		if len(page) < 7 {
			break
		}
	}
	if len(all) != 30 {
		t.Errorf("%d in pages", len(all))
	}
	for _, c := range []struct {
		f    Filter
		want int
	}{
		{Filter{}, 30},
		{Filter{State: tenant.StateActive}, 15},
		{Filter{Tier: "pro"}, 10},
		{Filter{Shard: "default"}, 30},
		{Filter{Shard: "other"}, 0},
		{Filter{Prefix: "t1"}, 10},
		{Filter{Prefix: "t1_"}, 9},
		{Filter{Prefix: "t2-0"}, 1},
		{Filter{Prefix: "t%"}, 0},
		{Filter{Prefix: "t\x00"}, 0},
		{Filter{Prefix: "t1", State: tenant.StateActive, Tier: "pro", Shard: "default", After: "t1-0"}, 4},
	} {
		if got := must(r.List(t.Context(), c.f))(t); len(got) != c.want {
			t.Errorf("%+v: %d, want %d", c.f, len(got), c.want)
		}
	}
	for _, f := range []Filter{{State: "dead"}, {Limit: -1}, {Limit: MaxLimit + 1}} {
		if _, err := r.List(t.Context(), f); err == nil || errors.Is(err, tenant.ErrUnavailable) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}
