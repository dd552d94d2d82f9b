package ctl

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func (a *app) tenantSuspend() *cobra.Command {
	return a.stateCommand(&cobra.Command{
		Use:   "suspend ID",
		Short: "Make a tenant refuse every statement, and keep its data",
		Long: `Makes an active tenant refuse every statement, in every process, and keeps its data.
A suspended tenant stays so.`,
	}, "suspended", (*registry.Registry).Suspend)
}

func (a *app) tenantResume() *cobra.Command {
	return a.stateCommand(&cobra.Command{
		Use:   "resume ID",
		Short: "Make a suspended tenant serve again",
	}, "resumed", (*registry.Registry).Resume)
}

// stateCommand completes a command that moves a tenant between active and suspended.
func (a *app) stateCommand(cmd *cobra.Command, action string, do func(*registry.Registry, context.Context, tenant.ID) error) *cobra.Command {
	cmd.Args = cobra.ExactArgs(1)
	cmd.ValidArgsFunction = firstArg(a.tenants)
	cmd.RunE = a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
		id := tenant.ID(args[0])
		if !a.dryRun {
			if err := do(r, ctx, id); err != nil {
				return err
			}
		}
		t, err := require(ctx, r, id, cmd.Name(), tenant.StateActive, tenant.StateSuspended)
		if err != nil {
			return err
		}
		return a.changedTenant(action, t, "")
	})
	return a.change(cmd)
}
