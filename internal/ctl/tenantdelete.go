package ctl

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func (a *app) tenantDelete() *cobra.Command {
	var after grace
	cmd := a.destroy(&cobra.Command{
		Use:   "delete ID [--after 30d]",
		Short: "Drop a tenant's schema, and forget the tenant",
		Long: `Drops a tenant's schema with all that is in it, and forgets the tenant. It is final. An
adopted schema is dropped too. The tenant stops serving first; a deletion that was cut
short is finished by saying it again.

With --after the tenant is suspended now, and deleted once that time has passed, by one
of the application's processes (registry.Config.DeleteEvery); tenantctl itself deletes
nothing later. Until then "tenant undelete" takes it back. An archived tenant stays
archived, and is forgotten then.

It asks for the tenant's ID, or wants --yes.`,
		Example: `  tenantctl tenant delete acme
  tenantctl tenant delete acme --after 30d
  tenantctl tenant list --deleting`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: firstArg(a.tenants),
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			if after.text != "" {
				return a.deleteAfter(ctx, r, tenant.ID(args[0]), after)
			}
			return a.deleteTenant(ctx, r, tenant.ID(args[0]))
		}),
	})
	cmd.Flags().Var(&after, "after", "suspend it now, and have it deleted after this time, such as 30d or 720h")
	return cmd
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

func (a *app) deleteAfter(ctx context.Context, r *registry.Registry, id tenant.ID, wait grace) error {
	t, err := require(ctx, r, id, "delete", tenant.StateActive, tenant.StateSuspended, tenant.StateArchived)
	if err != nil {
		return err
	}
	if t.State == tenant.StateArchived {
		if _, err := r.Archived(ctx, id); err != nil { // its deletion has begun
			return err
		}
	}
	if a.dryRun {
		if t.State == tenant.StateActive {
			t.State = tenant.StateSuspended
		}
		t.DeleteAfter = time.Now().Add(wait.Duration).Truncate(time.Second)
	} else {
		meaning := fmt.Sprintf("This has tenant %s (%s) stop serving, and its data dropped for ever after %s", id, t.State, wait.text)
		if err := a.confirm(ctx, meaning, string(id)); err != nil {
			return err
		}
		if t, err = r.DeleteAfter(ctx, id, wait.Duration); err != nil {
			return err
		}
	}
	if err := a.changedTenant("scheduled", t, fmt.Sprintf(" for deletion: it is %s, and goes after %s", t.State, cell(t.DeleteAfter))); err != nil || a.dryRun {
		return err
	}
	a.hint("until one of the application's processes deletes it, tenantctl tenant undelete %s takes it back", id)
	return nil
}
