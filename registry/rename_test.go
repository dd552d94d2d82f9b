package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestRename(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	create(t, r, "acme")
	create(t, r, "other")
	if err := r.AddName(t.Context(), "acme", Host("acme.example"), Alias("C-17")); err != nil {
		t.Fatal(err)
	}
	var told []tenant.ID
	cancel := r.OnSchemaChange(func(_ context.Context, t tenant.Tenant) { told = append(told, t.ID) })
	got := must(r.Rename(t.Context(), "acme", "acme-inc"))(t)
	cancel()
	if len(told) != 1 || told[0] != "acme-inc" {
		t.Errorf("told of %v", told)
	}
	if got.ID != "acme-inc" || got.Schema != "tenant_acme" || got.State != tenant.StateActive {
		t.Errorf("%+v", got)
	}
	for _, n := range []Name{Host("acme.example"), Alias("C-17"), FormerID("acme")} {
		if now := must(r.LookupName(t.Context(), n))(t); now.ID != "acme-inc" {
			t.Errorf("%s leads to %s", n, now.ID)
		}
	}
	if _, err := r.Lookup(t.Context(), "acme"); !errors.Is(err, tenant.ErrUnknown) {
		t.Errorf("the old ID: %v", err)
	}
	for what, err := range map[string]error{
		"create":        errorOf(r.Create(t.Context(), tenant.Spec{ID: "acme", Schema: "another"})),
		"adopt":         errorOf(r.Adopt(t.Context(), tenant.Spec{ID: "acme", Schema: "tenant_acme"})),
		"rename":        errorOf(r.Rename(t.Context(), "other", "acme")),
		"rename to one": errorOf(r.Rename(t.Context(), "other", "acme-inc")),
	} {
		if !errors.Is(err, tenant.ErrExists) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := r.Rename(t.Context(), "nobody", "somebody"); !errors.Is(err, tenant.ErrUnknown) {
		t.Errorf("unknown: %v", err)
	}
	if _, err := r.Rename(t.Context(), "other", "No!"); !errors.Is(err, tenant.ErrInvalidID) {
		t.Errorf("invalid: %v", err)
	}
	must(r.Rename(t.Context(), "acme-inc", "acme"))(t) // it can have its own back
	must(r.Lookup(t.Context(), "acme"))(t)
	if err := r.Delete(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	if schemaExists(t, r.cfg.DSN, "tenant_acme") {
		t.Error("the schema of the renamed tenant was left")
	}
	create(t, r, "acme-inc") // nobody's any more
}

func errorOf[T any](_ T, err error) error { return err }

// Many want the same name, crosswise: one gets it, and nobody waits for ever.
func TestRenameContested(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	const n = 6
	for i := range n {
		create(t, r, tenant.ID(fmt.Sprint("t", i)))
	}
	var wg sync.WaitGroup
	won := make([]bool, n)
	for i := range n {
		wg.Go(func() {
			_, err := r.Rename(t.Context(), tenant.ID(fmt.Sprint("t", i)), "prize")
			won[i] = err == nil
			if err != nil && !errors.Is(err, tenant.ErrExists) {
				t.Error(err)
			}
			_, err = r.Rename(t.Context(), tenant.ID(fmt.Sprint("t", i)), tenant.ID(fmt.Sprint("t", (i+1)%n)))
			if err != nil && !errors.Is(err, tenant.ErrExists) && !errors.Is(err, tenant.ErrUnknown) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	winners := 0
	for _, w := range won {
		if w {
			winners++
		}
	}
	if winners != 1 {
		t.Errorf("%d winners", winners)
	}
	if rows := query[int](t, r.cfg.DSN, "select count(*)::int from tenancy.tenants"); rows != n {
		t.Errorf("%d tenants, want %d", rows, n)
	}
}

func TestRenameSchema(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	create(t, r, "acme")
	create(t, r, "other")
	run(t, r.cfg.DSN, "create table tenant_acme.kept (n int)")
	if _, err := r.RenameSchema(t.Context(), "acme", "acme_data"); !errors.Is(err, ErrState) {
		t.Errorf("while it serves: %v", err)
	}
	if err := r.Suspend(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	run(t, r.cfg.DSN, "create schema foreign_one")
	for schema, want := range map[string]error{
		"tenant_other": tenant.ErrExists, "foreign_one": ErrSchemaExists, "pg_x": tenant.ErrInvalidSchema, "tenancy": tenant.ErrInvalidSchema,
	} {
		if _, err := r.RenameSchema(t.Context(), "acme", schema); !errors.Is(err, want) {
			t.Errorf("to %s: %v, want %v", schema, err, want)
		}
	}
	// A call that died after the shard's part is finished by the next one.
	run(t, r.cfg.DSN, "alter schema tenant_acme rename to acme_data")
	got := must(r.RenameSchema(t.Context(), "acme", "acme_data"))(t)
	if got.Schema != "acme_data" || got.Placement.Epoch != 2 {
		t.Errorf("%+v", got)
	}
	if n := query[int](t, r.cfg.DSN, "select count(*)::int from acme_data.kept"); n != 0 {
		t.Error(n)
	}
	if _, err := r.Create(t.Context(), tenant.Spec{ID: "thief", Schema: "tenant_acme"}); !errors.Is(err, tenant.ErrExists) {
		t.Errorf("another tenant got the old schema's name: %v", err)
	}
	must(r.RenameSchema(t.Context(), "acme", "tenant_acme"))(t)
	if schemaExists(t, r.cfg.DSN, "acme_data") {
		t.Error("the schema is there twice")
	}
}
