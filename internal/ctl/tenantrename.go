package ctl

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func (a *app) tenantRename() *cobra.Command {
	var schema string
	cmd := a.change(&cobra.Command{
		Use:   "rename ID NEW-ID | ID --schema NAME",
		Short: "Give a tenant another ID, or its schema another name",
		Long: `Gives an active or suspended tenant another ID; its schema keeps its name, its hosts and
aliases lead to it as before, and no other tenant can have the old ID. With --schema, a
suspended tenant's schema gets another name instead.`,
		Example: `  tenantctl tenant rename acme acme-inc
  tenantctl tenant rename acme-inc --schema tenant_acme_inc`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: firstArg(a.tenants),
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			if (len(args) == 2) == (schema != "") {
				return usagef("want a new ID, or --schema")
			}
			if schema != "" {
				return a.renameSchema(ctx, r, tenant.ID(args[0]), schema)
			}
			return a.renameTenant(ctx, r, tenant.ID(args[0]), tenant.ID(args[1]))
		}),
	})
	cmd.Flags().StringVar(&schema, "schema", "", "rename the schema of a suspended tenant to this")
	return cmd
}

func (a *app) renameTenant(ctx context.Context, r *registry.Registry, id, to tenant.ID) (err error) {
	var t tenant.Tenant
	if a.dryRun {
		t, err = require(ctx, r, id, "rename", tenant.StateActive, tenant.StateSuspended)
		if err == nil {
			err = refuseTaken(ctx, r, to)
		}
		t.ID = to
	} else {
		t, err = r.Rename(ctx, id, to)
	}
	if err != nil {
		return err
	}
	v := viewTenant(t)
	return a.changed(change{Action: "renamed", Tenant: &v}, "tenant "+string(id), " to "+string(to))
}

func (a *app) renameSchema(ctx context.Context, r *registry.Registry, id tenant.ID, schema string) (err error) {
	var t tenant.Tenant
	if a.dryRun {
		if _, err := tenant.ParseSchema(schema); err != nil {
			return err
		}
		t, err = require(ctx, r, id, "rename the schema of", tenant.StateSuspended)
		t.Schema = schema
	} else {
		t, err = r.RenameSchema(ctx, id, schema)
	}
	if err != nil {
		return err
	}
	v := viewTenant(t)
	return a.changed(change{Action: "renamed", Tenant: &v}, fmt.Sprintf("schema of tenant %s", id), " to "+cell(schema))
}
