package ctl

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func (a *app) tenantCopy() *cobra.Command {
	var s specFlags
	cmd := a.change(&cobra.Command{
		Use:   "copy FROM TO",
		Short: "Make a new tenant out of another one, with its data",
		Long: `Makes a new tenant and fills it with what another one has at one moment: structure, rows,
sequences, versions. The other one serves meanwhile. The copy is proved equal before it
serves; if anything fails, what was made is undone.

What is not said is as with the other one: tier, attributes, region, and whether it has a
database role. Host names and aliases stay the other's.`,
		Example: `  tenantctl tenant copy acme acme-staging --tier free
  tenantctl tenant copy acme acme-eu --shard eu-2 --dry-run`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: firstArg(a.tenants),
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			return a.copyTenant(ctx, r, tenant.ID(args[0]), args[1], s)
		}),
	})
	a.bindSpec(cmd, &s)
	cmd.Flags().StringVar(&s.region, "region", "", "place it on a shard of this region")
	a.bindPrograms(cmd)
	return cmd
}

func (a *app) copyTenant(ctx context.Context, r *registry.Registry, from tenant.ID, to string, s specFlags) (err error) {
	source, err := r.Get(ctx, from)
	if err != nil {
		return err
	}
	var t tenant.Tenant
	if a.dryRun {
		t, err = r.PreviewCopy(ctx, from, s.spec(to))
	} else {
		r.SetRoles(s.role || source.Role != "")
		step := a.begin("copying schema "+cell(source.Schema)+" of shard "+cell(source.Placement.Shard), nil)
		t, err = r.Copy(ctx, from, s.spec(to))
		step.end()
	}
	if err != nil {
		return err
	}
	return a.changedTenant("created", t, place(t)+", a copy of "+string(from))
}
