package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	var seen tenant.Tenant
	r.SetProvisioner(func(ctx context.Context, got tenant.Tenant) error {
		seen = got
		if id, err := tenant.FromContext(ctx); id != "acme" || err != nil {
			t.Errorf("the provisioner's context names %q, %v", id, err)
		}
		looked, err := r.Lookup(ctx, "acme")
		if err != nil {
			return err
		}
		if err := looked.Usable(tenant.Admission{}); !errors.Is(err, tenant.ErrNotActive) {
			t.Errorf("the tenant serves while it is provisioned: %v", err)
		}
		return looked.Usable(tenant.AdmissionOf(ctx))
	})
	got := must(r.Create(t.Context(), tenant.Spec{ID: "acme", Tier: "pro"}))(t)
	if got.Schema != "tenant_acme" || got.State != tenant.StateActive || got.Tier != "pro" ||
		got.Placement != (tenant.Placement{Shard: "default", Epoch: 1}) || got.CreatedAt.IsZero() {
		t.Errorf("created %+v", got)
	}
	if seen.ID != "acme" || seen.State != tenant.StateProvisioning {
		t.Errorf("provisioned %+v", seen)
	}
	if !schemaExists(t, r.cfg.DSN, "tenant_acme") {
		t.Error("no schema")
	}
	if looked := must(r.Lookup(t.Context(), "acme"))(t); looked != got {
		t.Errorf("looked up %+v, want %+v", looked, got)
	}
	r.SetProvisioner(nil)
	if other := create(t, r, "globex"); other.Tier != tenant.TierDefault {
		t.Errorf("default tier %q", other.Tier)
	}
}

func TestCreateConflicts(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	create(t, r, "acme")
	run(t, r.cfg.DSN, `CREATE SCHEMA tenant_taken; CREATE TABLE tenant_taken.precious (n int)`)
	for _, c := range []struct {
		spec tenant.Spec
		want error
	}{
		{tenant.Spec{ID: "acme"}, tenant.ErrExists},
		{tenant.Spec{ID: "acme", Schema: "other"}, tenant.ErrExists},
		{tenant.Spec{ID: "other", Schema: "tenant_acme"}, tenant.ErrExists},
		{tenant.Spec{ID: "taken"}, ErrSchemaExists},
		{tenant.Spec{ID: "x", Shard: "nowhere"}, tenant.ErrUnknownShard},
		{tenant.Spec{ID: "x", Region: "mars"}, ErrNoShard},
		{tenant.Spec{ID: "x", Shard: "default", Region: "mars"}, ErrNoShard},
		{tenant.Spec{ID: "Bad ID"}, tenant.ErrInvalidID},
		{tenant.Spec{ID: "x", Schema: `a"b`}, tenant.ErrInvalidSchema},
		{tenant.Spec{ID: "x", Schema: "tenancy"}, tenant.ErrInvalidSchema},
		{tenant.Spec{ID: "x", Schema: "public"}, tenant.ErrInvalidSchema},
		{tenant.Spec{ID: "x", Schema: "pg_catalog"}, tenant.ErrInvalidSchema},
		{tenant.Spec{ID: "x", Schema: "PG_Temp"}, tenant.ErrInvalidSchema},
	} {
		if _, err := r.Create(t.Context(), c.spec); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.spec, err, c.want)
		}
	}
	if _, err := r.Create(t.Context(), tenant.Spec{ID: "x", Tier: "a\nb"}); err == nil {
		t.Error("a tier with a line break was taken")
	}
	if _, err := r.Create(t.Context(), tenant.Spec{ID: "taken"}); !strings.Contains(err.Error(), "Adopt") {
		t.Errorf("the error does not name the remedy: %v", err)
	}
	if n := query[int](t, r.cfg.DSN, "SELECT count(*)::int FROM tenancy.tenants"); n != 1 {
		t.Errorf("%d rows, want acme's only", n)
	}
	if n := query[int](t, r.cfg.DSN, "SELECT count(*)::int FROM pg_tables WHERE schemaname = 'tenant_taken'"); n != 1 {
		t.Error("the foreign schema was touched")
	}
}

func TestControlSchemaIsNoTenants(t *testing.T) {
	t.Parallel()
	r := open(t, Config{DSN: newDatabase(t), Schema: "my control", HomeShard: "default"})
	for _, do := range []func(context.Context, tenant.Spec) (tenant.Tenant, error){r.Create, r.Adopt} {
		if _, err := do(t.Context(), tenant.Spec{ID: "x", Schema: "my control"}); !errors.Is(err, tenant.ErrInvalidSchema) {
			t.Errorf("got %v", err)
		}
	}
	create(t, r, "acme")
	if n := query[int](t, r.cfg.DSN, "SELECT count(*)::int FROM pg_tables WHERE schemaname = 'my control'"); n != 19 {
		t.Errorf("%d tables in the control schema, want 19", n)
	}
	if n := query[int](t, r.cfg.DSN, "SELECT count(*)::int FROM pg_class WHERE relnamespace = 'public'::regnamespace"); n != 0 {
		t.Errorf("%d relations in public", n)
	}
}

func TestCreateUndone(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	boom := errors.New("boom")
	ctx, cancel := context.WithCancel(t.Context())
	for name, fn := range map[string]Provisioner{
		"error": func(context.Context, tenant.Tenant) error {
			run(t, r.cfg.DSN, "CREATE TABLE tenant_acme.a (n int)")
			return boom
		},
		"context": func(ctx context.Context, _ tenant.Tenant) error { cancel(); <-ctx.Done(); return boom },
		"lost lock": func(context.Context, tenant.Tenant) error {
			run(t, r.cfg.DSN, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
			return boom
		},
	} {
		use := t.Context()
		if name == "context" {
			use = ctx
		}
		r.SetProvisioner(fn)
		if _, err := r.Create(use, tenant.Spec{ID: "acme"}); !errors.Is(err, boom) {
			t.Errorf("%s: %v", name, err)
		}
		if schemaExists(t, r.cfg.DSN, "tenant_acme") {
			t.Errorf("%s: the schema is left", name)
		}
		if _, err := r.Lookup(t.Context(), "acme"); !errors.Is(err, tenant.ErrUnknown) {
			t.Errorf("%s: the row is left: %v", name, err)
		}
	}
	r.SetProvisioner(nil)
	create(t, r, "acme")
}

// TestUndoFails: with the shard gone in mid-creation nothing can be undone;
// the tenant stays visible, and creating it again finishes the matter.
func TestUndoFails(t *testing.T) {
	t.Parallel()
	r := open(t, Config{DSN: newDatabase(t), ProvisionTimeout: 1})
	p := newProxy(t)
	shard := tenant.Shard{Name: "eu-1", Primary: p.dsn(newDatabase(t))}
	if err := r.AddShard(t.Context(), shard); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	r.SetProvisioner(func(context.Context, tenant.Tenant) error { p.cut(); return boom })
	_, err := r.Create(t.Context(), tenant.Spec{ID: "acme"})
	if !errors.Is(err, boom) || !strings.Contains(err.Error(), "undo") || strings.Contains(err.Error(), password) {
		t.Errorf("got %v", err)
	}
	if got := must(r.Get(t.Context(), "acme"))(t); got.State != tenant.StateProvisioning {
		t.Errorf("state %s", got.State)
	}
	if _, err := r.Create(t.Context(), tenant.Spec{ID: "globex"}); err == nil || errors.Is(err, boom) {
		t.Errorf("created on a shard that is down: %v", err)
	}
	if _, err := r.Get(t.Context(), "globex"); !errors.Is(err, tenant.ErrUnknown) {
		t.Errorf("nothing was made, yet a row is left: %v", err)
	}
	p.restore(t)
	r.SetProvisioner(nil)
	if got := create(t, r, "acme"); got.State != tenant.StateActive {
		t.Errorf("state %s", got.State)
	}
}

func TestTakeOver(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	leave := func(id, origin, age string) {
		run(t, r.cfg.DSN, fmt.Sprintf(`INSERT INTO tenancy.tenants (id, schema_name, state, tier, shard, origin, updated_at)
			VALUES ('%[1]s', 'tenant_%[1]s', 'provisioning', 'pro', 'default', '%[2]s', now() - interval '%[3]s')`, id, origin, age))
	}
	leave("early", "o1", "1 hour") // died before CREATE SCHEMA
	leave("late", "o2", "1 hour")  // died after it
	run(t, r.cfg.DSN, "CREATE SCHEMA tenant_late; COMMENT ON SCHEMA tenant_late IS 'gormtenancy tenant late o2'")
	leave("foreign", "o3", "1 hour") // died before CREATE SCHEMA told it that the name is taken
	run(t, r.cfg.DSN, "CREATE SCHEMA tenant_foreign")
	leave("young", "o4", "1 second")
	for _, id := range []tenant.ID{"early", "late"} {
		if got := create(t, r, id); got.State != tenant.StateActive || got.Tier != "pro" {
			t.Errorf("%+v", got)
		}
	}
	if _, err := r.Create(t.Context(), tenant.Spec{ID: "young"}); !errors.Is(err, tenant.ErrExists) {
		t.Errorf("young: %v", err)
	}
	if _, err := r.Create(t.Context(), tenant.Spec{ID: "foreign"}); !errors.Is(err, ErrSchemaExists) {
		t.Errorf("foreign: %v", err)
	}
	if !schemaExists(t, r.cfg.DSN, "tenant_foreign") {
		t.Error("a foreign schema was dropped by the undo")
	}
	leave("foreign", "o5", "1 second")
	if err := r.Delete(t.Context(), "foreign"); err != nil {
		t.Error(err)
	}
	if !schemaExists(t, r.cfg.DSN, "tenant_foreign") {
		t.Error("a foreign schema was dropped by Delete")
	}
}

// TestZombie: a creation that lost its lock and was taken over meanwhile
// neither activates the tenant nor destroys what the other made.
func TestZombie(t *testing.T) {
	t.Parallel()
	r := open(t, Config{DSN: newDatabase(t), HomeShard: "default", ProvisionTimeout: 1})
	other := open(t, Config{DSN: r.cfg.DSN, ProvisionTimeout: 1})
	r.SetProvisioner(func(context.Context, tenant.Tenant) error {
		run(t, r.cfg.DSN, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		eventually(t, "take over", func() bool {
			_, err := other.Create(t.Context(), tenant.Spec{ID: "acme"})
			return err == nil
		})
		run(t, r.cfg.DSN, "CREATE TABLE tenant_acme.precious (n int)")
		return nil
	})
	if _, err := r.Create(t.Context(), tenant.Spec{ID: "acme"}); err == nil {
		t.Error("the zombie succeeded")
	}
	if n := query[int](t, r.cfg.DSN, "SELECT count(*)::int FROM pg_tables WHERE schemaname = 'tenant_acme'"); n != 1 {
		t.Error("the zombie dropped the other's schema")
	}
	if got := must(r.Lookup(t.Context(), "acme"))(t); got.State != tenant.StateActive {
		t.Errorf("state %s", got.State)
	}
}

func TestCreateRace(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	regs := []*Registry{open(t, Config{DSN: dsn, HomeShard: "default"}), open(t, Config{DSN: dsn})}
	const n = 50
	errs := make(chan error, n)
	for i := range n {
		go func() {
			_, err := regs[i%2].Create(t.Context(), tenant.Spec{ID: "acme"})
			errs <- err
		}()
	}
	won := 0
	for range n {
		if err := <-errs; err == nil {
			won++
		} else if !errors.Is(err, tenant.ErrExists) {
			t.Error(err)
		}
	}
	if won != 1 || tenantSchemas(t, dsn) != 1 {
		t.Errorf("%d winners, %d schemas", won, tenantSchemas(t, dsn))
	}
	must(regs[1].Lookup(t.Context(), "acme"))(t)
}

// TestManyCreations: more at once than connections, while each provisioner
// asks the registry, must not block each other.
func TestManyCreations(t *testing.T) {
	t.Parallel()
	r := open(t, Config{DSN: newDatabase(t), HomeShard: "default", MaxConns: 1})
	r.SetProvisioner(func(ctx context.Context, got tenant.Tenant) error {
		_, err := r.Lookup(ctx, got.ID)
		return err
	})
	const n = 12
	errs := make(chan error, n)
	for i := range n {
		go func() {
			_, err := r.Create(t.Context(), tenant.Spec{ID: tenant.ID(fmt.Sprintf("t%d", i))})
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := tenantSchemas(t, r.cfg.DSN); got != n {
		t.Errorf("%d schemas", got)
	}
}
