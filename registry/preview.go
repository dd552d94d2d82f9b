package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// PreviewCreate returns the tenant that Create would make, in the state that it
// would have while it is made, and makes nothing. The error is as Create's; what
// others do meanwhile is not foreseen.
func (r *Registry) PreviewCreate(ctx context.Context, spec tenant.Spec) (tenant.Tenant, error) {
	t, err := r.preview(ctx, spec, r.requireNoSchema)
	if err != nil {
		return tenant.Tenant{}, fmt.Errorf("create tenant %.64q: %w", spec.ID, err)
	}
	t.State, t.Version = tenant.StateProvisioning, r.recipe.Load().Version
	return t, nil
}

// PreviewAdopt returns the tenant that Adopt would enter, and enters nothing. The
// error is as Adopt's.
func (r *Registry) PreviewAdopt(ctx context.Context, spec tenant.Spec) (t tenant.Tenant, err error) {
	if spec.Shard, err = r.adoptionShard(ctx, spec); err == nil {
		t, err = r.preview(ctx, spec, r.requireSchema)
	}
	if err != nil {
		return tenant.Tenant{}, fmt.Errorf("adopt tenant %.64q: %w", spec.ID, err)
	}
	t.State = tenant.StateActive
	return t, nil
}

// PreviewCopy returns the tenant that Copy would make, in the state that it would have
// while it is made, and makes nothing. Whether the schema can be copied is not looked
// at; otherwise the error is as Copy's.
func (r *Registry) PreviewCopy(ctx context.Context, from tenant.ID, spec tenant.Spec) (t tenant.Tenant, err error) {
	source, err := r.copySource(ctx, from, &spec)
	if err == nil {
		t, err = r.preview(ctx, spec, r.requireNoSchema)
	}
	if err != nil {
		return tenant.Tenant{}, fmt.Errorf("copy tenant %.64q to %.64q: %w", from, spec.ID, err)
	}
	t.State, t.Version = tenant.StateProvisioning, source.Version
	return t, nil
}

// PreviewRestore returns the tenant where Restore would bring it back, and does nothing.
// The file is read; whether the shard is ready for it is not looked at. Otherwise the
// error is as Restore's.
func (r *Registry) PreviewRestore(ctx context.Context, id tenant.ID, file string, o RestoreOptions) (tenant.Tenant, error) {
	t, err := r.previewRestore(ctx, id, file, o)
	if err != nil {
		return tenant.Tenant{}, fmt.Errorf("restore tenant %.64q: %w", id, err)
	}
	return t, nil
}

func (r *Registry) previewRestore(ctx context.Context, id tenant.ID, path string, o RestoreOptions) (tenant.Tenant, error) {
	t, err := r.Get(ctx, id)
	if err != nil {
		return tenant.Tenant{}, err
	}
	n, err := r.readNote(ctx, r.questions, id)
	if err != nil {
		return tenant.Tenant{}, err
	}
	if err := allowsRestore(t, n); err != nil {
		return tenant.Tenant{}, err
	}
	file, err := openArchive(path, n)
	if err != nil {
		return tenant.Tenant{}, err
	}
	defer file.Close()
	if o.Shard != "" && o.Shard != t.Placement.Shard {
		shard, err := r.Shard(ctx, o.Shard)
		if err != nil {
			return tenant.Tenant{}, err
		}
		t.Placement.Shard, t.Placement.Region = shard.Name, shard.Region
	}
	t.State = n.Was
	return t, nil
}

func (r *Registry) preview(ctx context.Context, spec tenant.Spec, check func(context.Context, *record) error) (tenant.Tenant, error) {
	want, err := r.plan(spec)
	if err != nil {
		return tenant.Tenant{}, err
	}
	if err := r.place(ctx, want, spec); err != nil {
		return tenant.Tenant{}, err
	}
	if _, err := r.Get(ctx, want.ID); !errors.Is(err, tenant.ErrUnknown) {
		if err == nil {
			err = tenant.ErrExists
		}
		return tenant.Tenant{}, err
	}
	return want.Tenant, check(ctx, want)
}

// requireNoSchema returns an error if a new tenant's schema is there already.
func (r *Registry) requireNoSchema(ctx context.Context, rec *record) error {
	return r.onShard(ctx, rec.Placement.Shard, func(conn *pgx.Conn) error {
		exists, _, err := schemaComment(ctx, conn, rec.Schema)
		if err == nil && exists {
			err = fmt.Errorf("schema %s: %w", tenant.QuoteIdent(rec.Schema), ErrSchemaExists)
		}
		return err
	})
}

// PreviewShard returns the error that AddShard would return, and adds nothing.
func (r *Registry) PreviewShard(ctx context.Context, s tenant.Shard) error {
	if err := r.readable(s); err != nil {
		return err
	}
	others, err := r.Shards(ctx)
	if err != nil {
		return err
	}
	return r.ownDatabase(s, slices.Values(others))
}
