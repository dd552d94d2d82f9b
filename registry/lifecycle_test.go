package registry

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestAdopt(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	run(t, r.cfg.DSN, `CREATE SCHEMA "Old Schema"; CREATE TABLE "Old Schema".invoices (n int)`)
	got := must(r.Adopt(t.Context(), tenant.Spec{ID: "old", Schema: "Old Schema"}))(t)
	if got.State != tenant.StateActive || got.Schema != "Old Schema" || got.Placement.Shard != "default" {
		t.Errorf("adopted %+v", got)
	}
	must(r.Lookup(t.Context(), "old"))(t)
	for _, c := range []struct {
		spec tenant.Spec
		want error
	}{
		{tenant.Spec{ID: "old", Schema: "Old Schema"}, tenant.ErrExists},
		{tenant.Spec{ID: "thief", Schema: "Old Schema"}, tenant.ErrExists},
		{tenant.Spec{ID: "none", Schema: "no_such"}, ErrNoSchema},
		{tenant.Spec{ID: "none"}, ErrNoSchema},
		{tenant.Spec{ID: "none", Shard: "nowhere"}, tenant.ErrUnknownShard},
		{tenant.Spec{ID: "none", Schema: "public"}, tenant.ErrInvalidSchema},
		{tenant.Spec{ID: "none", Schema: "pg_catalog"}, tenant.ErrInvalidSchema},
	} {
		if _, err := r.Adopt(t.Context(), c.spec); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.spec, err, c.want)
		}
	}
	if n := query[int](t, r.cfg.DSN, "SELECT count(*)::int FROM tenancy.tenants"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

// TestAdoptAnothersSchema: what was made for another tenant is not adopted,
// even where this registry has no row of it, but by the tenant itself.
func TestAdoptAnothersSchema(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	create(t, r, "acme")
	if _, err := r.Adopt(t.Context(), tenant.Spec{ID: "thief", Schema: "tenant_acme"}); !errors.Is(err, tenant.ErrExists) {
		t.Errorf("the same registry: %v", err)
	}
	other := open(t, Config{DSN: r.cfg.DSN, Schema: "other_control", HomeShard: "default"})
	if _, err := other.Adopt(t.Context(), tenant.Spec{ID: "thief", Schema: "tenant_acme"}); !errors.Is(err, tenant.ErrExists) {
		t.Errorf("another registry: %v", err)
	}
	must(other.Adopt(t.Context(), tenant.Spec{ID: "acme", Schema: "tenant_acme"}))(t)
}

func TestAdoptAmongShards(t *testing.T) {
	t.Parallel()
	r := open(t, Config{DSN: newDatabase(t)})
	if _, err := r.Adopt(t.Context(), tenant.Spec{ID: "a", Schema: "s"}); !errors.Is(err, ErrNoShard) {
		t.Errorf("no shard: %v", err)
	}
	dsn := newDatabase(t)
	addShards(t, r, map[string]string{"eu-1": dsn, "eu-2": newDatabase(t)})
	run(t, dsn, "CREATE SCHEMA s")
	if _, err := r.Adopt(t.Context(), tenant.Spec{ID: "a", Schema: "s"}); err == nil || !strings.Contains(err.Error(), "Spec.Shard") {
		t.Errorf("two shards: %v", err)
	}
	if got := must(r.Adopt(t.Context(), tenant.Spec{ID: "a", Schema: "s", Shard: "eu-1"}))(t); got.Placement.Shard != "eu-1" {
		t.Errorf("adopted %+v", got)
	}
}

func TestSuspendResume(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	create(t, r, "acme")
	steps := []struct {
		do   func(context.Context, tenant.ID) error
		want tenant.State
	}{
		{r.Suspend, tenant.StateSuspended},
		{r.Suspend, tenant.StateSuspended},
		{r.Resume, tenant.StateActive},
		{r.Resume, tenant.StateActive},
	}
	for i, s := range steps {
		if err := s.do(t.Context(), "acme"); err != nil {
			t.Errorf("step %d: %v", i, err)
		}
		if got := must(r.Lookup(t.Context(), "acme"))(t); got.State != s.want {
			t.Errorf("step %d: %s, want %s", i, got.State, s.want)
		}
	}
	for _, do := range []func(context.Context, tenant.ID) error{r.Suspend, r.Resume, r.Delete} {
		if err := do(t.Context(), "nobody"); !errors.Is(err, tenant.ErrUnknown) {
			t.Errorf("unknown: %v", err)
		}
		if err := do(t.Context(), "No Body"); !errors.Is(err, tenant.ErrInvalidID) {
			t.Errorf("invalid: %v", err)
		}
	}
	run(t, r.cfg.DSN, "UPDATE tenancy.tenants SET state = 'moving'")
	for _, do := range []func(context.Context, tenant.ID) error{r.Suspend, r.Resume, r.Delete} {
		if err := do(t.Context(), "acme"); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), "moving") {
			t.Errorf("moving: %v", err)
		}
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	create(t, r, "acme")
	run(t, r.cfg.DSN, "CREATE TABLE tenant_acme.a (n int); CREATE SCHEMA adopted; CREATE TABLE adopted.a (n int)")
	must(r.Adopt(t.Context(), tenant.Spec{ID: "adopted", Schema: "adopted"}))(t)
	for _, id := range []tenant.ID{"acme", "adopted"} {
		must(r.Lookup(t.Context(), id))(t)
		if err := r.Delete(t.Context(), id); err != nil {
			t.Error(err)
		}
		if _, err := r.Lookup(t.Context(), id); !errors.Is(err, tenant.ErrUnknown) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if schemaExists(t, r.cfg.DSN, "tenant_acme") || schemaExists(t, r.cfg.DSN, "adopted") {
		t.Error("a schema is left")
	}
	create(t, r, "acme")
}

func TestDeleteContinues(t *testing.T) {
	t.Parallel()
	r := open(t, Config{DSN: newDatabase(t)})
	p := newProxy(t)
	dsn := p.dsn(newDatabase(t))
	addShards(t, r, map[string]string{"eu-1": dsn})
	create(t, r, "acme")
	p.cut()
	if err := r.Delete(t.Context(), "acme"); err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("shard down: %v", err)
	}
	if got := must(r.Lookup(t.Context(), "acme"))(t); got.State != tenant.StateArchived {
		t.Errorf("state %s", got.State)
	}
	p.restore(t)
	run(t, dsn, "COMMENT ON SCHEMA tenant_acme IS 'gormtenancy tenant acme of-another-registry'")
	if err := r.Delete(t.Context(), "acme"); err == nil || !strings.Contains(err.Error(), "another registry") {
		t.Errorf("another's schema: %v", err)
	}
	run(t, dsn, "COMMENT ON SCHEMA tenant_acme IS NULL")
	if err := r.Delete(t.Context(), "acme"); err != nil {
		t.Error(err)
	}
	if schemaExists(t, dsn, "tenant_acme") {
		t.Error("the schema is left")
	}
}
