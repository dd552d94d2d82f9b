package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// nameList is the JSON form of a tenant's names.
type nameList struct {
	Names []nameView `json:"names"`
}

// nameFlags name names.
type nameFlags struct{ hosts, aliases, former []string }

func (n *nameFlags) bind(cmd *cobra.Command, former bool) {
	cmd.Flags().StringArrayVar(&n.hosts, "host", nil, "host name, such as orders.acme.example")
	cmd.Flags().StringArrayVar(&n.aliases, "alias", nil, "any other name, such as a customer number")
	if former {
		cmd.Flags().StringArrayVar(&n.former, "former", nil, "ID that it had before it was renamed")
	}
}

func (n *nameFlags) names() []registry.Name {
	return slices.Concat(collect(n.hosts, registry.Host), collect(n.aliases, registry.Alias),
		collect(n.former, func(id string) registry.Name { return registry.FormerID(tenant.ID(id)) }))
}

func (a *app) tenantName() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "name",
		Short: "Host names and aliases that lead to a tenant",
		Long:  "Requests find a tenant by its ID, or by a host name or an alias that leads to it.",
	}, a.nameAdd(), a.nameRemove(), a.nameList())
}

func (a *app) nameAdd() *cobra.Command {
	return a.nameChange(&cobra.Command{
		Use:     "add ID --host NAME --alias TEXT",
		Short:   "Let names lead to a tenant, all or none",
		Example: `  tenantctl tenant name add acme --host orders.acme.example --alias C-0017`,
	}, "added", false, func(ctx context.Context, r *registry.Registry, id tenant.ID, names []registry.Name) error {
		if !a.dryRun {
			return r.AddName(ctx, id, names...)
		}
		for _, n := range names {
			t, err := r.LookupName(ctx, n)
			switch {
			case err == nil && t.ID != id:
				return fmt.Errorf("%s: %w", n, registry.ErrNameTaken)
			case err != nil && !errors.Is(err, tenant.ErrUnknown):
				return err
			}
		}
		return nil
	})
}

func (a *app) nameRemove() *cobra.Command {
	return a.nameChange(&cobra.Command{
		Use:   "remove ID --host NAME --alias TEXT --former ID",
		Short: "Make names lead nowhere",
		Long: `Makes a tenant's names lead nowhere. A former ID, once removed, can be given to another
tenant.`,
		Example: `  tenantctl tenant name remove acme --host orders.acme.example`,
	}, "removed", true, func(ctx context.Context, r *registry.Registry, id tenant.ID, names []registry.Name) error {
		has, err := r.Names(ctx, id)
		if err != nil {
			return err
		}
		for _, n := range names {
			if !slices.Contains(has, n) {
				return fmt.Errorf("%s of tenant %s: %w", n, id, errMissing)
			}
		}
		for _, n := range names {
			if !a.dryRun && err == nil {
				err = r.RemoveName(ctx, n)
			}
		}
		return err
	})
}

// nameChange completes a command that adds or removes names.
func (a *app) nameChange(cmd *cobra.Command, action string, former bool,
	do func(ctx context.Context, r *registry.Registry, id tenant.ID, names []registry.Name) error,
) *cobra.Command {
	var n nameFlags
	n.bind(cmd, former)
	flags := []string{"host", "alias"}
	if former {
		flags = append(flags, "former")
	}
	cmd.MarkFlagsOneRequired(flags...)
	cmd.Args = cobra.ExactArgs(1)
	cmd.ValidArgsFunction = firstArg(a.tenants)
	cmd.RunE = a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
		t, err := r.Get(ctx, tenant.ID(args[0]))
		if err != nil {
			return err
		}
		names := n.names()
		if err := do(ctx, r, t.ID, names); err != nil {
			return err
		}
		v := viewTenant(t)
		subject := strings.Join(collect(names, registry.Name.String), ", ")
		return a.changed(change{Action: action, Tenant: &v, Names: viewNames(names)}, subject, ": tenant "+string(t.ID))
	})
	return a.change(cmd)
}

func (a *app) nameList() *cobra.Command {
	return &cobra.Command{
		Use:               "list ID",
		Short:             "List a tenant's names, former ones too",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: firstArg(a.tenants),
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			t, err := r.Get(ctx, tenant.ID(args[0]))
			if err != nil {
				return err
			}
			names, err := r.Names(ctx, t.ID)
			if err != nil {
				return err
			}
			return a.show(nameList{viewNames(names)}, func(w io.Writer) {
				t := rows{{"KIND", "NAME"}}
				for _, n := range names {
					t.add(n.Kind(), n.Text())
				}
				t.write(w)
			})
		}),
	}
}
