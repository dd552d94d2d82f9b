package ctl

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// setOptions are tenant set's own flags.
type setOptions struct{ tier, attributes string }

func (a *app) tenantSet() *cobra.Command {
	var o setOptions
	cmd := a.change(&cobra.Command{
		Use:   "set ID [--tier T] [--attributes JSON]",
		Short: "Change a tenant's tier or attributes",
		Long:  "Puts a tenant into another tier, or replaces its attributes, all of them.",
		Example: `  tenantctl tenant set acme --tier pro
  tenantctl tenant set acme --attributes '{"plan": "gold"}'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: firstArg(a.tenants),
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			return a.setTenant(ctx, r, tenant.ID(args[0]), o)
		}),
	})
	cmd.Flags().StringVar(&o.tier, "tier", "", "its tier from now on")
	cmd.Flags().StringVar(&o.attributes, "attributes", "", "its attributes from now on, a JSON object")
	cmd.MarkFlagsOneRequired("tier", "attributes")
	return cmd
}

func (a *app) setTenant(ctx context.Context, r *registry.Registry, id tenant.ID, o setOptions) error {
	t, err := r.Get(ctx, id)
	if err != nil {
		return err
	}
	// Both are looked at before one is changed.
	attributes := tenant.Attributes(o.attributes)
	if err := attributes.Validate(); err != nil {
		return err
	}
	if o.tier != "" {
		t.Tier = tenant.Tier(o.tier)
		if !a.dryRun {
			err = r.SetTier(ctx, id, t.Tier)
		}
	}
	if err == nil && o.attributes != "" {
		t.Attributes = attributes
		if !a.dryRun {
			err = r.SetAttributes(ctx, id, attributes)
		}
	}
	if err == nil && !a.dryRun {
		t, err = r.Get(ctx, id)
	}
	if err != nil {
		return err
	}
	return a.changedTenant("changed", t, ": tier "+cell(t.Tier)+", attributes "+cell(t.Attributes))
}
