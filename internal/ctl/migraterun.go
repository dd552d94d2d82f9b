package ctl

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
)

func (a *app) migrateUp() *cobra.Command {
	var m migration
	cmd := a.change(&cobra.Command{
		Use:   "up --dir DIR",
		Short: "Bring all tenants to the newest version, or to --target",
		Long: `Brings the tenants to the newest version, ring by ring: --canary, then each --ring in
turn, then the rest. Once more than --max-failures tenants have failed no further one is
begun. Ctrl-C begins no further one either, and the report tells what was done.

With --dry-run, the same as "migrate plan".`,
		Example: `  tenantctl migrate up --dir ./migrations --canary acme --ring trial=tier:free --ring "first=10%"
  tenantctl migrate up --dir ./migrations --rate 50 --max-failures 20 -o json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.on(func(ctx context.Context, r *registry.Registry, _ []string) error {
			set, o, err := m.prepare(ctx, r)
			if err != nil {
				return err
			}
			return a.migrate(ctx, r, set, o)
		}),
	})
	a.bindMigration(cmd, &m)
	return cmd
}

func (a *app) migrateDown() *cobra.Command {
	m := migration{Options: migrations.Options{Down: true}}
	cmd := a.destroy(&cobra.Command{
		Use:   "down --dir DIR --target VERSION",
		Short: "Undo the versions above --target",
		Long: `Undoes the versions above --target in all tenants, by the files' Down parts. What those
drop is lost. It asks for the target, or wants --yes.

With --dry-run, the same as "migrate plan --down".`,
		Example:           `  tenantctl migrate down --dir ./migrations --target 3 --tenants acme`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	})
	cmd.RunE = a.on(func(ctx context.Context, r *registry.Registry, _ []string) error {
		set, o, err := m.prepare(ctx, r)
		if err != nil {
			return err
		}
		if !a.dryRun {
			if err := a.confirmDown(ctx, r, o.Target); err != nil {
				return err
			}
		}
		return a.migrate(ctx, r, set, o)
	})
	a.bindMigration(cmd, &m)
	if err := cmd.MarkFlagRequired("target"); err != nil {
		panic(err)
	}
	return cmd
}

func (a *app) confirmDown(ctx context.Context, r *registry.Registry, target int64) error {
	counts, err := r.Census(ctx)
	if err != nil {
		return err
	}
	above := 0
	for _, c := range counts {
		if c.Version > target {
			above += c.Tenants
		}
	}
	meaning := fmt.Sprintf("This undoes every version above %d, and loses what that drops: %d tenants have such a version, of which the selected ones take part", target, above)
	return a.confirm(ctx, meaning, fmt.Sprint(target))
}

// migrate runs the migrations, and prints the report however they end.
func (a *app) migrate(ctx context.Context, r *registry.Registry, set *migrations.Set, o migrations.Options) error {
	if a.dryRun {
		return a.showPlan(ctx, r, set, o)
	}
	p := a.newProgress("tenants")
	o.Observe = func(m migrations.Progress) { p.update(m.Done+m.Failed+m.Skipped, m.Total, m.Failed) }
	rep, err := migrations.Run(ctx, r, set, o)
	p.finish()
	if rep != nil {
		if err := a.showReport(rep); err != nil {
			return err
		}
	}
	return err
}
