package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func (a *app) tenantGet() *cobra.Command {
	var n nameFlags
	cmd := &cobra.Command{
		Use:   "get ID | --host NAME | --alias TEXT | --former ID",
		Short: "Show one tenant, by its ID or another name",
		Example: `  tenantctl tenant get acme
  tenantctl tenant get --host orders.acme.example -o json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: firstArg(a.tenants),
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			id, err := n.find(ctx, r, args)
			if err != nil {
				return err
			}
			return a.showTenant(ctx, r, id)
		}),
	}
	n.bind(cmd, true)
	return cmd
}

// find returns the ID of the tenant that an argument or a name tells.
func (n *nameFlags) find(ctx context.Context, r *registry.Registry, args []string) (tenant.ID, error) {
	names := n.names()
	if len(args)+len(names) != 1 {
		return "", usagef("want one ID, host, alias or former ID")
	}
	if len(args) == 1 {
		return tenant.ID(args[0]), nil
	}
	t, err := r.LookupName(ctx, names[0])
	return t.ID, err
}

func (a *app) showTenant(ctx context.Context, r *registry.Registry, id tenant.ID) error {
	t, err := r.Get(ctx, id)
	if errors.Is(err, tenant.ErrUnknown) {
		if now, formerErr := r.LookupName(ctx, registry.FormerID(id)); formerErr == nil {
			return fmt.Errorf("%w: it was renamed to %s", err, now.ID)
		}
	}
	if err != nil {
		return err
	}
	names, err := r.Names(ctx, id)
	if err != nil {
		return err
	}
	v := viewTenant(t)
	v.Names = viewNames(names)
	if t.State == tenant.StateArchived {
		made, err := r.Archived(ctx, id)
		switch {
		case err == nil:
			v.Archive = viewArchive(made, "")
		case !errors.Is(err, registry.ErrNoArchive):
			return err
		}
	}
	return a.show(v, func(w io.Writer) { tellTenant(w, t, names, v.Archive) })
}

func tellTenant(w io.Writer, t tenant.Tenant, names []registry.Name, made *archiveView) {
	var r rows
	r.add("id", t.ID)
	r.add("state", t.State)
	r.add("tier", t.Tier)
	r.add("shard", t.Placement.Shard)
	r.add("region", t.Placement.Region)
	r.add("schema", t.Schema)
	r.add("version", t.Version)
	r.add("attributes", t.Attributes)
	if t.Role != "" {
		r.add("role", t.Role)
	}
	for _, n := range names {
		kind := n.Kind()
		if kind == "id" || kind == "schema" {
			kind = "former " + kind
		}
		r.add(kind, n.Text())
	}
	if !t.DeleteAfter.IsZero() {
		r.add("delete after", t.DeleteAfter)
	}
	if made != nil {
		r.add("archive", made)
		r.add("archived", *made.At)
	}
	r.add("created", t.CreatedAt)
	r.add("updated", t.UpdatedAt)
	r.write(w)
}
