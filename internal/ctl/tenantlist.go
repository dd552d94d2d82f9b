package ctl

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// tenantList is the JSON form of a page of tenants.
type tenantList struct {
	Tenants []tenantView `json:"tenants"`
	// Next is what --after takes for the next page, null on the last.
	Next *tenant.ID `json:"next"`
}

// listOptions are tenant list's own flags.
type listOptions struct {
	registry.Filter
	all bool
}

func (a *app) tenantList() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tenants, a page at a time",
		Long: `Lists tenants in the order of their IDs. Filters narrow it down together. Spare tenants,
which wait for a name, are only listed with --state spare.`,
		Example: `  tenantctl tenant list --tier pro --region eu --limit 20
  tenantctl tenant list --after acme
  tenantctl tenant list --deleting
  tenantctl tenant list --all --attributes '{"plan": "gold"}' -o json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.on(func(ctx context.Context, r *registry.Registry, _ []string) error {
			return a.listTenants(ctx, r, o)
		}),
	}
	f := cmd.Flags()
	f.StringVar((*string)(&o.State), "state", "", "only those in this state")
	f.StringVar((*string)(&o.Tier), "tier", "", "only those of this tier")
	f.StringVar(&o.Shard, "shard", "", "only those on this shard")
	f.StringVar(&o.Region, "region", "", "only those in this region")
	f.StringVar(&o.Prefix, "prefix", "", "only those whose ID begins so")
	f.StringVar((*string)(&o.Attributes), "attributes", "", "only those whose attributes contain these, a JSON object")
	f.BoolVar(&o.Deleting, "deleting", false, "only those that are to be deleted, and when")
	f.BoolVar(&o.Restorable, "restorable", false, "only archived ones that can be restored")
	f.Int64Var(&o.BelowVersion, "below-version", 0, "only those that have not reached this version of the migrations")
	f.StringVar((*string)(&o.After), "after", "", "begin behind this ID")
	f.IntVar(&o.Limit, "limit", registry.DefaultLimit, "tenants on a page")
	f.BoolVar(&o.all, "all", false, "all pages")
	cmd.MarkFlagsMutuallyExclusive("all", "limit")
	complete(cmd, "shard", a.shards)
	complete(cmd, "after", a.tenants)
	fixed(cmd, "state", collect([]tenant.State{
		tenant.StateActive, tenant.StateSuspended, tenant.StateProvisioning, tenant.StateMoving, tenant.StateArchived, tenant.StateSpare,
	}, func(s tenant.State) string { return string(s) })...)
	return cmd
}

// check returns what is wrong with the flags.
func (o *listOptions) check() error {
	if o.Limit < 1 || o.Limit > registry.MaxLimit {
		return usagef("--limit %d: want 1 to %d", o.Limit, registry.MaxLimit)
	}
	if o.State != "" {
		if _, err := tenant.ParseState(string(o.State)); err != nil {
			return usagef("--state: %w", err)
		}
	}
	return nil
}

func (a *app) listTenants(ctx context.Context, r *registry.Registry, o listOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.all {
		o.Limit = registry.MaxLimit
	}
	list := tenantList{Tenants: []tenantView{}}
	for {
		page, more, err := pageOf(ctx, r, o.Filter)
		if err != nil {
			return err
		}
		list.Tenants = append(list.Tenants, collect(page, viewTenant)...)
		if more {
			o.After = page[len(page)-1].ID
		}
		if !more || !o.all {
			if more {
				list.Next = &o.After
			}
			break
		}
	}
	if err := a.show(list, func(w io.Writer) { tellTenants(w, list.Tenants, o.Deleting) }); err != nil {
		return err
	}
	if list.Next != nil {
		a.hint("more with --after %s, or --all", *list.Next)
	}
	return nil
}

// pageOf returns a page, and whether there is another behind it.
func pageOf(ctx context.Context, r *registry.Registry, f registry.Filter) (page []tenant.Tenant, more bool, err error) {
	page, err = r.List(ctx, f)
	if err != nil || len(page) < f.Limit {
		return page, false, err
	}
	f.After, f.Limit = page[len(page)-1].ID, 1
	next, err := r.List(ctx, f)
	return page, len(next) > 0, err
}

func tellTenants(w io.Writer, tenants []tenantView, deleting bool) {
	last := "CREATED"
	if deleting {
		last = "DELETE AFTER"
	}
	t := rows{{"ID", "STATE", "TIER", "SHARD", "REGION", "VERSION", "SCHEMA", last}}
	for _, v := range tenants {
		at := v.CreatedAt
		if deleting {
			at = v.DeleteAfter
		}
		t.add(v.ID, v.State, v.Tier, v.Shard, v.Region, v.Version, v.Schema, *at)
	}
	t.write(w)
}
