package ctl

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func (a *app) tenantUndelete() *cobra.Command {
	return a.change(&cobra.Command{
		Use:   "undelete ID",
		Short: `Take a "delete --after" back`,
		Long: `Takes a "tenant delete --after" back. The tenant stays suspended, or archived: "tenant
resume" makes a suspended one serve again. Once its deletion has begun it is refused.`,
		Example: `  tenantctl tenant undelete acme
  tenantctl tenant resume acme`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: firstArg(a.tenantsLike(registry.Filter{Deleting: true})),
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			return a.undelete(ctx, r, tenant.ID(args[0]))
		}),
	})
}

func (a *app) undelete(ctx context.Context, r *registry.Registry, id tenant.ID) error {
	t, err := r.Get(ctx, id)
	switch {
	case err != nil:
		return err
	case t.DeleteAfter.IsZero():
		return a.changedTenant("unchanged", t, ": it was not to be deleted")
	case t.State == tenant.StateArchived:
		if _, err := r.Archived(ctx, id); err != nil {
			return err
		}
	}
	if t.DeleteAfter = (time.Time{}); !a.dryRun {
		if t, err = r.Undelete(ctx, id); err != nil {
			return err
		}
	}
	if err := a.changedTenant("undeleted", t, fmt.Sprintf(": it is %s", t.State)); err != nil || a.dryRun {
		return err
	}
	if t.State == tenant.StateSuspended {
		a.hint("tenantctl tenant resume %s makes it serve again", id)
	}
	return nil
}
