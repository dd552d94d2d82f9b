package registry

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Rename gives an active or suspended tenant another ID. Its schema keeps its name
// (see RenameSchema), its hosts and aliases lead to it as before. Requests under the
// old ID end with tenant.ErrUnknown; LookupName(FormerID(id)) tells who it is now.
// No other tenant can have the old ID (see RemoveName), the same one can have it
// back. The error wraps tenant.ErrInvalidID, tenant.ErrUnknown, tenant.ErrExists,
// ErrState or tenant.ErrUnavailable.
func (r *Registry) Rename(ctx context.Context, id, to tenant.ID) (tenant.Tenant, error) {
	t, err := r.rename(ctx, id, to)
	if err != nil {
		return tenant.Tenant{}, fmt.Errorf("rename tenant %.64q to %.64q: %w", id, to, err)
	}
	r.writers.tell(ctx, t) // what it wrote under the old ID
	return t, nil
}

func (r *Registry) rename(ctx context.Context, id, to tenant.ID) (tenant.Tenant, error) {
	for _, x := range []tenant.ID{id, to} {
		if _, err := tenant.ParseID(string(x)); err != nil {
			return tenant.Tenant{}, err
		}
	}
	if id == to {
		return r.Get(ctx, id)
	}
	l, err := r.lockBoth(ctx, id, to)
	if err != nil {
		return tenant.Tenant{}, err
	}
	defer l.unlock(ctx)
	defer r.forget(to)
	defer r.forget(id)
	defer r.byName.flush()
	var rec *record
	err = alterTx(ctx, l, func(tx pgx.Tx) (err error) {
		rec, err = r.renameIn(ctx, tx, id, to)
		return err
	})
	switch {
	case sqlState(err) == uniqueViolation:
		return tenant.Tenant{}, tenant.ErrExists
	case err != nil:
		return tenant.Tenant{}, failed(ctx, "change its row", err)
	case rec == nil:
		return tenant.Tenant{}, r.notRenamed(ctx, id)
	}
	return rec.Tenant, nil
}

// renameIn changes the row, and makes the old ID lead to it. It returns nil if the
// row is not there or its state does not allow it, and a unique violation if the
// new ID is another tenant's, also a former one.
func (r *Registry) renameIn(ctx context.Context, tx pgx.Tx, id, to tenant.ID) (*record, error) {
	if _, err := tx.Exec(ctx, r.sql.dropFormer, kindID, to, id); err != nil {
		return nil, err
	}
	rec, err := one(tx.Query(ctx, r.sql.rename, id, to))
	if err != nil || rec == nil {
		return nil, err
	}
	// The new ID may be another's former one: the key of names says so.
	for _, former := range []tenant.ID{to, id} {
		if _, err := tx.Exec(ctx, r.sql.addFormer, kindID, former, to); err != nil {
			return nil, err
		}
	}
	_, err = tx.Exec(ctx, r.sql.dropFormer, kindID, to, to)
	return rec, err
}

func (r *Registry) notRenamed(ctx context.Context, id tenant.ID) error {
	t, err := r.Get(ctx, id)
	if err != nil {
		return err
	}
	return fmt.Errorf("it is %s, only an active or suspended tenant can be renamed: %w", t.State, ErrState)
}

// RenameSchema gives a suspended tenant's schema another name. No other tenant on
// the shard can have the old one, so that a process that has not heard of it finds
// no schema rather than another tenant's. Interrupted, it is finished by the same
// call again. The error wraps tenant.ErrInvalidID, tenant.ErrInvalidSchema,
// tenant.ErrUnknown, tenant.ErrExists, ErrSchemaExists, ErrNoSchema, ErrState or
// tenant.ErrUnavailable.
func (r *Registry) RenameSchema(ctx context.Context, id tenant.ID, schema string) (tenant.Tenant, error) {
	t, err := r.renameSchema(ctx, id, schema)
	if err != nil {
		return tenant.Tenant{}, fmt.Errorf("rename the schema of tenant %.64q: %w", id, err)
	}
	return t, nil
}

func (r *Registry) renameSchema(ctx context.Context, id tenant.ID, schema string) (tenant.Tenant, error) {
	want, err := r.plan(tenant.Spec{ID: id, Schema: schema})
	if err != nil {
		return tenant.Tenant{}, err
	}
	l, err := r.lock(ctx, id, true)
	if err != nil {
		return tenant.Tenant{}, err
	}
	defer l.unlock(ctx)
	rec, err := one(l.Query(ctx, r.sql.get, id))
	switch {
	case err != nil:
		return tenant.Tenant{}, failed(ctx, "read its row", err)
	case rec == nil:
		return tenant.Tenant{}, unknown(id)
	case rec.State != tenant.StateSuspended:
		return tenant.Tenant{}, fmt.Errorf("it is %s: suspend it first: %w", rec.State, ErrState)
	case rec.Schema == want.Schema:
		return rec.Tenant, nil
	}
	if err := r.reserveSchemas(ctx, l, rec, want.Schema); err != nil {
		return tenant.Tenant{}, err
	}
	if err := r.alterSchemaName(ctx, rec, want.Schema); err != nil {
		return tenant.Tenant{}, err
	}
	defer r.forget(id)
	got, err := alter(ctx, l, r.sql.setSchema, id, want.Schema)
	switch {
	case err != nil:
		return tenant.Tenant{}, failed(ctx, "change its row: say it again to finish", err)
	case got == nil:
		return tenant.Tenant{}, fmt.Errorf("its row was changed meanwhile: say it again to finish: %w", ErrState)
	}
	r.writers.tell(ctx, got.Tenant)
	return got.Tenant, nil
}

// reserveSchemas makes the old and the new name the tenant's own, before anything
// happens on the shard.
func (r *Registry) reserveSchemas(ctx context.Context, l *tenantLock, rec *record, to string) error {
	prefix := rec.Placement.Shard + "/"
	if err := r.requireFree(ctx, l, rec.ID, rec.Placement.Shard, to); err != nil {
		return err
	}
	for _, name := range []string{prefix + rec.Schema, prefix + to} {
		if _, err := l.Exec(ctx, r.sql.reserve, kindSchema, name, rec.ID); err != nil {
			return failed(ctx, "reserve the schema's name", err)
		}
	}
	return nil
}

// requireFree refuses a schema's name that another tenant of the shard has or had.
func (r *Registry) requireFree(ctx context.Context, l *tenantLock, id tenant.ID, shard, schema string) error {
	var taken bool
	if err := l.QueryRow(ctx, r.sql.schemaTaken, shard, schema, id).Scan(&taken); err != nil {
		return failed(ctx, "reserve the schema's name", err)
	}
	if taken {
		return fmt.Errorf("schema %s on shard %s: %w", tenant.QuoteIdent(schema), shard, tenant.ErrExists)
	}
	return nil
}

// alterSchemaName renames the schema on its shard. One that has the new name and
// the tenant's mark is what an earlier call renamed.
func (r *Registry) alterSchemaName(ctx context.Context, rec *record, to string) error {
	return r.onShard(ctx, rec.Placement.Shard, func(conn *pgx.Conn) error {
		exists, comment, err := schemaComment(ctx, conn, to)
		switch {
		case err != nil:
			return err
		case exists && rec.marked(comment):
			return nil
		case exists:
			return ErrSchemaExists
		}
		if exists, comment, err = schemaComment(ctx, conn, rec.Schema); err != nil {
			return err
		}
		if ours, err := owns(rec, comment); !exists || err != nil || !ours {
			return fmt.Errorf("schema %s: %w", tenant.QuoteIdent(rec.Schema), ErrNoSchema)
		}
		_, err = conn.Exec(ctx, fmt.Sprintf("ALTER SCHEMA %s RENAME TO %s", tenant.QuoteIdent(rec.Schema), tenant.QuoteIdent(to)))
		return err
	})
}
