package registry

import (
	"errors"
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
