package ctl

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func (a *app) tenantDelete() *cobra.Command {
	return a.destroy(&cobra.Command{
		Use:   "delete ID",
		Short: "Drop a tenant's schema, and forget the tenant",
		Long: `Drops a tenant's schema with all that is in it, and forgets the tenant. It is final. An
adopted schema is dropped too. The tenant stops serving first; a deletion that was cut
short is finished by saying it again.

It asks for the tenant's ID, or wants --yes.`,
		Example:           `  tenantctl tenant delete acme`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: firstArg(a.tenants),
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			return a.deleteTenant(ctx, r, tenant.ID(args[0]))
		}),
	})
}

func (a *app) deleteTenant(ctx context.Context, r *registry.Registry, id tenant.ID) error {
	t, err := require(ctx, r, id, "delete", tenant.StateActive, tenant.StateSuspended, tenant.StateArchived, tenant.StateProvisioning, tenant.StateSpare)
	if err != nil {
		return err
	}
	if !a.dryRun {
		meaning := fmt.Sprintf("This drops schema %s on shard %s, with all data of tenant %s (%s), for ever", cell(t.Schema), cell(t.Placement.Shard), id, t.State)
		if err := a.confirm(ctx, meaning, string(id)); err != nil {
			return err
		}
		if err := r.Delete(ctx, id); err != nil {
			return err
		}
	}
	return a.changedTenant("deleted", t, place(t))
}
