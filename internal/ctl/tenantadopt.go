package ctl

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
)

func (a *app) tenantAdopt() *cobra.Command {
	var s specFlags
	cmd := a.change(&cobra.Command{
		Use:   "adopt ID",
		Short: "Enter a schema that exists already as a tenant",
		Long: `Enters a schema that exists as an active tenant. Nothing in it is touched. The shard is
--shard, or the only one.`,
		Example:           `  tenantctl tenant adopt old --schema old_customer --shard main`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			r.SetRoles(s.role && !a.dryRun)
			adopt := r.Adopt
			if a.dryRun {
				adopt = r.PreviewAdopt
			}
			t, err := adopt(ctx, s.spec(args[0]))
			if err != nil {
				return err
			}
			return a.changedTenant("adopted", t, place(t))
		}),
	})
	a.bindSpec(cmd, &s)
	return cmd
}
