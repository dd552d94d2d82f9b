package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// withSpares opens a registry whose tenants get one table.
func withSpares(t testing.TB, dsn string, n int, recipe string) *Registry {
	t.Helper()
	return open(t, Config{DSN: dsn, HomeShard: "default", SpareTenants: n, Recipe: Recipe{Name: recipe, Version: 3}, Provision: func(ctx context.Context, made tenant.Tenant) error {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		defer closeConn(ctx, conn)
		_, err = conn.Exec(ctx, fmt.Sprintf("CREATE TABLE %s.notes (recipe text DEFAULT '%s')", tenant.QuoteIdent(made.Schema), recipe))
		return err
	}})
}

func spareCount(t testing.TB, r *Registry) int {
	t.Helper()
	return len(must(r.List(t.Context(), Filter{State: tenant.StateSpare}))(t))
}

func TestSpares(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	r := withSpares(t, dsn, 2, "one")
	full := func() bool { return spareCount(t, r) == 2 }
	eventually(t, "the spares", full)
	if all := must(r.List(t.Context(), Filter{}))(t); len(all) != 0 {
		t.Errorf("spares are listed: %v", all)
	}
	got := must(r.Create(t.Context(), tenant.Spec{ID: "acme", Tier: "pro", Attributes: `{"a": 1}`}))(t)
	if got.ID != "acme" || got.State != tenant.StateActive || got.Tier != "pro" || got.Version != 3 || got.Attributes != `{"a": 1}` || !strings.HasPrefix(got.Schema, "tenant_spare-") {
		t.Errorf("%+v", got)
	}
	if now := must(r.Lookup(t.Context(), "acme"))(t); now != got {
		t.Errorf("%+v, created as %+v", now, got)
	}
	query[int](t, dsn, fmt.Sprintf("SELECT count(*)::int FROM %s.notes", tenant.QuoteIdent(got.Schema)))
	eventually(t, "the next spare", full)
	if _, err := r.Create(t.Context(), tenant.Spec{ID: "acme"}); !errors.Is(err, tenant.ErrExists) {
		t.Errorf("again: %v", err)
	}
	if named := must(r.Create(t.Context(), tenant.Spec{ID: "named", Schema: "mine"}))(t); named.Schema != "mine" {
		t.Errorf("%+v", named)
	}
	for _, x := range must(r.List(t.Context(), Filter{State: tenant.StateSpare}))(t) {
		if err := x.Usable(tenant.Admission{}); !errors.Is(err, tenant.ErrNotActive) {
			t.Errorf("a spare serves: %v", err)
		}
	}
	if err := r.Delete(t.Context(), "acme"); err != nil || schemaExists(t, dsn, got.Schema) {
		t.Errorf("deleted: %v", err)
	}
}

// As many want the few spares as there are not: each gets a schema of its own.
func TestSparesContested(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	regs := []*Registry{withSpares(t, dsn, 3, "one"), withSpares(t, dsn, 3, "one")}
	eventually(t, "the spares", func() bool { return spareCount(t, regs[0]) == 3 })
	const n = 20
	schemas := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			got, err := regs[i%2].Create(t.Context(), tenant.Spec{ID: tenant.ID(fmt.Sprint("t", i))})
			if err != nil {
				t.Error(err)
			}
			schemas[i] = got.Schema
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for i, s := range schemas {
		if seen[s] {
			t.Errorf("t%d has another's schema %s", i, s)
		}
		seen[s] = true
		query[int](t, dsn, fmt.Sprintf("SELECT count(*)::int FROM %s.notes", tenant.QuoteIdent(s)))
	}
}

// Another version of the application takes none of these spares; they go when
// they are old. What a crash left half made goes, too.
func TestSparesOfAnotherRecipe(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	first := withSpares(t, dsn, 1, "one")
	eventually(t, "the first's spare", func() bool { return spareCount(t, first) == 1 })
	first.Close()
	second := withSpares(t, dsn, 1, "two")
	eventually(t, "the second's spare", func() bool { return spareCount(t, second) == 2 })
	got := must(second.Create(t.Context(), tenant.Spec{ID: "acme"}))(t)
	if def := query[string](t, dsn, "SELECT column_default FROM information_schema.columns WHERE table_schema = $1", got.Schema); def != "'two'::text" {
		t.Errorf("made by recipe %s", def)
	}
	run(t, dsn, "UPDATE tenancy.tenants SET updated_at = now() - interval '2 h' WHERE state = 'spare' AND recipe = 'one'")
	run(t, dsn, `INSERT INTO tenancy.tenants (id, schema_name, state, tier, shard, origin, updated_at)
		VALUES ('spare-half', 'tenant_spare-half', 'provisioning', 'standard', 'default', 'spare.x', now() - interval '1 day')`)
	second.wantSpares()
	eventually(t, "the end of the old ones", func() bool {
		return query[int](t, dsn, "SELECT count(*)::int FROM tenancy.tenants WHERE recipe = 'one' OR id = 'spare-half'") == 0
	})
	eventually(t, "a full stock", func() bool { return spareCount(t, second) == 1 && tenantSchemas(t, dsn) == 2 })
}

// Without a recipe nothing tells what a spare was made by.
func TestNoSparesWithoutRecipe(t *testing.T) {
	t.Parallel()
	r := withSpares(t, newDatabase(t), 2, "")
	if err := r.fillSpares(t.Context()); err != nil || spareCount(t, r) != 0 {
		t.Errorf("%d spares, %v", spareCount(t, r), err)
	}
	if got := must(r.Create(t.Context(), tenant.Spec{ID: "acme"}))(t); got.Schema != "tenant_acme" {
		t.Errorf("%+v", got)
	}
}

// A script fills the schema in the transaction that makes it; one of another recipe
// is not used, and one that fails leaves nothing.
func TestScript(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	called := 0
	r.SetProvisioner(func(context.Context, tenant.Tenant) error { called++; return nil })
	script := func(schema string) string {
		return "CREATE TABLE " + tenant.QuoteIdent(schema) + ".scripted (n int)"
	}
	r.SetScript("one", script)
	create(t, r, "before")
	r.SetRecipe(Recipe{Name: "one"})
	create(t, r, "scripted")
	if called != 1 || query[int](t, r.cfg.DSN, "SELECT count(*)::int FROM pg_tables WHERE tablename = 'scripted' AND schemaname = 'tenant_scripted'") != 1 {
		t.Errorf("the provisioner was called %d times", called)
	}
	r.SetScript("one", func(schema string) string { return script(schema) + "; SELECT 1/0" })
	if _, err := r.Create(t.Context(), tenant.Spec{ID: "broken"}); sqlState(err) != "22012" {
		t.Errorf("got %v", err)
	}
	if schemaExists(t, r.cfg.DSN, "tenant_broken") || query[int](t, r.cfg.DSN, "SELECT count(*)::int FROM tenancy.tenants WHERE id = 'broken'") != 0 {
		t.Error("it was not undone")
	}
	r.SetRecipe(Recipe{Name: "two"})
	create(t, r, "after")
	if called != 2 {
		t.Errorf("the provisioner was called %d times", called)
	}
}
