package registry

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestPreviews(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	r := open(t, Config{DSN: dsn, HomeShard: "home", Region: "eu"})
	create(t, r, "acme")
	run(t, dsn, "CREATE SCHEMA tenant_stray")
	ctx := t.Context()
	for _, c := range []struct {
		name  string
		spec  tenant.Spec
		adopt bool
		want  error
	}{
		{"a new one", tenant.Spec{ID: "new"}, false, nil},
		{"one that exists", tenant.Spec{ID: "acme"}, false, tenant.ErrExists},
		{"a bad ID", tenant.Spec{ID: "A"}, false, tenant.ErrInvalidID},
		{"a schema that exists", tenant.Spec{ID: "stray"}, false, ErrSchemaExists},
		{"no such shard", tenant.Spec{ID: "new", Shard: "nowhere"}, false, tenant.ErrUnknownShard},
		{"adopt", tenant.Spec{ID: "stray"}, true, nil},
		{"adopt nothing", tenant.Spec{ID: "new"}, true, ErrNoSchema},
		{"adopt one that exists", tenant.Spec{ID: "acme"}, true, tenant.ErrExists},
	} {
		preview := r.PreviewCreate
		if c.adopt {
			preview = r.PreviewAdopt
		}
		got, err := preview(ctx, c.spec)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err == nil && (got.Placement.Shard != "home" || got.Schema != tenant.SchemaFor(c.spec.ID)) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	if page := must(r.List(ctx, Filter{}))(t); len(page) != 1 || tenantSchemas(t, dsn) != 2 {
		t.Errorf("%d tenants, %d schemas: a preview made something", len(page), tenantSchemas(t, dsn))
	}
	for name, want := range map[string]error{"home": nil, "other": ErrSameDatabase} {
		if err := r.PreviewShard(ctx, tenant.Shard{Name: name, Primary: dsn}); !errors.Is(err, want) {
			t.Errorf("shard %s: %v, want %v", name, err, want)
		}
	}
	if shards := must(r.Shards(ctx))(t); len(shards) != 1 {
		t.Errorf("%d shards", len(shards))
	}
}

func TestPreviewRestoreAndCopy(t *testing.T) {
	t.Parallel()
	r := openArchives(t, Config{}, "acme", "other")
	ctx, dir := t.Context(), t.TempDir()
	must(r.Create(ctx, tenant.Spec{ID: "taken"}))(t)
	if _, err := r.PreviewCopy(ctx, "acme", tenant.Spec{ID: "taken"}); !errors.Is(err, tenant.ErrExists) {
		t.Errorf("copied to one that exists: %v", err)
	}
	planned := must(r.PreviewCopy(ctx, "acme", tenant.Spec{ID: "twin"}))(t)
	if _, err := r.Get(ctx, "twin"); !errors.Is(err, tenant.ErrUnknown) {
		t.Errorf("it was made: %v", err)
	}
	if planned.Schema != "tenant_twin" || planned.Placement.Shard != "default" || planned.State != tenant.StateProvisioning {
		t.Errorf("planned %+v", planned)
	}
	if _, err := r.PreviewRestore(ctx, "acme", dir, RestoreOptions{}); !errors.Is(err, ErrNoArchive) {
		t.Errorf("restored one that serves: %v", err)
	}
	made := must(r.Archive(ctx, "acme", ArchiveOptions{Dir: dir}))(t)
	if _, err := r.PreviewCopy(ctx, "acme", tenant.Spec{ID: "twin"}); !errors.Is(err, ErrState) {
		t.Errorf("copied an archived one: %v", err)
	}
	file := filepath.Join(dir, made.File)
	if _, err := r.PreviewRestore(ctx, "acme", file, RestoreOptions{Shard: "nowhere"}); !errors.Is(err, tenant.ErrUnknownShard) {
		t.Errorf("restored to nowhere: %v", err)
	}
	before := must(r.Get(ctx, "acme"))(t)
	planned = must(r.PreviewRestore(ctx, "acme", file, RestoreOptions{}))(t)
	if after := must(r.Get(ctx, "acme"))(t); planned.State != tenant.StateActive || !after.UpdatedAt.Equal(before.UpdatedAt) {
		t.Errorf("planned %+v, is %+v", planned, after)
	}
	if err := os.WriteFile(file, []byte("PGDMP"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.PreviewRestore(ctx, "acme", file, RestoreOptions{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("a damaged file: %v", err)
	}
}
