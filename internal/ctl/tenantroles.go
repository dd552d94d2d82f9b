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

// rolesReport is the JSON form of what was given to whom. Unreached are those of which
// nothing was tried.
type rolesReport struct {
	DryRun    bool        `json:"dry_run"`
	Total     int         `json:"total"`
	Given     int         `json:"given"`
	Mended    int         `json:"mended"`
	Failed    int         `json:"failed"`
	Unreached int         `json:"unreached"`
	Failures  []failedOne `json:"failures"`
}

func (a *app) tenantRoles() *cobra.Command {
	var mend bool
	cmd := a.change(&cobra.Command{
		Use:   "roles [ID]",
		Short: "Give tenants a database role, for strict mode",
		Long: `Gives a database role to a tenant, or to all active and suspended tenants that have none,
so that an application can serve them in strict mode (tenantplugin.WithRoles). The roles
of one ID, or with --mend of all tenants, get their grants again, and are made again
where a restored server lacks them. The user of a shard's DSN needs CREATEROLE.

Interrupted, it goes on when it is said again.`,
		Example: `  tenantctl tenant roles --dry-run
  tenantctl tenant roles
  tenantctl tenant roles acme`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: firstArg(a.tenants),
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			if len(args) == 1 {
				return a.giveOne(ctx, r, tenant.ID(args[0]))
			}
			return a.giveAll(ctx, r, mend)
		}),
	})
	cmd.Flags().BoolVar(&mend, "mend", false, "also those that have one, whose grants may be lost")
	return cmd
}

// done counts a tenant, as it was before.
func (r *rolesReport) done(t tenant.Tenant) {
	if t.Role == "" {
		r.Given++
	} else {
		r.Mended++
	}
}

func (a *app) giveOne(ctx context.Context, r *registry.Registry, id tenant.ID) error {
	t, err := require(ctx, r, id, "give a role to", tenant.StateActive, tenant.StateSuspended)
	if err == nil && !a.dryRun {
		_, err = r.EnsureRole(ctx, id)
	}
	if err != nil {
		return err
	}
	rep := rolesReport{Total: 1}
	rep.done(t)
	return a.showRoles(rep)
}

func (a *app) giveAll(ctx context.Context, r *registry.Registry, mend bool) error {
	todo, err := roleless(ctx, r, mend)
	if err != nil {
		return err
	}
	rep := rolesReport{Total: len(todo)}
	p := a.newProgress("tenants")
	for i, t := range todo {
		if err = a.give(ctx, r, t, &rep); err != nil {
			rep.Unreached = len(todo) - i
			break
		}
		if !a.dryRun {
			p.update(i+1, len(todo), rep.Failed)
		}
	}
	p.finish()
	switch {
	case err != nil && rep.Given+rep.Mended == 0:
		return err
	case err != nil:
		err = fmt.Errorf("%w: %w", errPartly, err)
	case rep.Failed > 0:
		err = fmt.Errorf("%w: %d of %d tenants got no role", errPartly, rep.Failed, rep.Total)
	}
	return errors.Join(a.showRoles(rep), err)
}

// give gives a tenant a role. It returns the error that ends the whole matter.
func (a *app) give(ctx context.Context, r *registry.Registry, t tenant.Tenant, rep *rolesReport) error {
	var err error
	if !a.dryRun {
		_, err = r.EnsureRole(ctx, t.ID)
	}
	switch {
	case err == nil:
		rep.done(t)
	case errors.Is(err, tenant.ErrUnavailable), ctx.Err() != nil:
		return err
	case errors.Is(err, tenant.ErrUnknown), errors.Is(err, registry.ErrState): // it was deleted meanwhile
		rep.Total--
	default:
		rep.Failed++
		rep.Failures = append(rep.Failures, failedOne{t.ID, err.Error()})
	}
	return nil
}

// roleless returns the tenants that want a role, or with all those that can have one.
func roleless(ctx context.Context, r *registry.Registry, all bool) (todo []tenant.Tenant, err error) {
	f := registry.Filter{Limit: registry.MaxLimit}
	for more := true; more; {
		var page []tenant.Tenant
		if page, more, err = pageOf(ctx, r, f); err != nil {
			return nil, err
		}
		for _, t := range page {
			f.After = t.ID
			if (t.State == tenant.StateActive || t.State == tenant.StateSuspended) && (all || t.Role == "") {
				todo = append(todo, t)
			}
		}
	}
	return todo, nil
}

func (a *app) showRoles(rep rolesReport) error {
	rep.DryRun = a.dryRun
	rep.Failures = append([]failedOne{}, rep.Failures...)
	return a.show(rep, func(w io.Writer) {
		tellFailures(w, rep.Failures)
		would := ""
		if a.dryRun {
			would = "would be "
		}
		fmt.Fprintf(w, "%d tenants: %d %sgiven a role, %d %smended, %d failed, %d not reached\n",
			rep.Total, rep.Given, would, rep.Mended, would, rep.Failed, rep.Unreached)
	})
}
