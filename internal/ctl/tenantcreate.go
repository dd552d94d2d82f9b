package ctl

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/internal/pgscope"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// createOptions are tenant create's own flags.
type createOptions struct {
	specFlags
	files files
}

func (a *app) tenantCreate() *cobra.Command {
	var o createOptions
	cmd := a.change(&cobra.Command{
		Use:   "create ID",
		Short: "Create a tenant: its schema, and with --migrations its tables",
		Long: `Creates a tenant and its schema, all or nothing. With --migrations the schema gets the
tables of the newest version; without, it is empty, and "migrate up" fills it.

The shard is --shard, or one of --region, or any, chosen by consistent hashing. An
application in strict mode (tenantplugin.WithRoles) serves only tenants with a --role;
"tenant roles" gives one afterwards.`,
		Example: `  tenantctl tenant create acme --tier pro --region eu --migrations ./migrations
  tenantctl tenant create acme --role
  tenantctl tenant create acme --attributes '{"plan": "gold"}' --dry-run`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			return a.createTenant(ctx, r, args[0], o)
		}),
	})
	a.bindSpec(cmd, &o.specFlags)
	cmd.Flags().StringVar(&o.region, "region", "", "place it on a shard of this region")
	o.files.bind(cmd, "migrations")
	return cmd
}

func (a *app) createTenant(ctx context.Context, r *registry.Registry, id string, o createOptions) error {
	if o.files.dir != "" {
		set, err := o.files.load()
		if err != nil {
			return err
		}
		fillWith(r, set, o.files.searchPath)
	}
	r.SetRoles(o.role && !a.dryRun)
	create := r.Create
	if a.dryRun {
		create = r.PreviewCreate
	}
	t, err := create(ctx, o.spec(id))
	if err != nil {
		return err
	}
	return a.changedTenant("created", t, place(t))
}

// fillWith makes new tenants get their tables from goose files.
func fillWith(r *registry.Registry, set *migrations.Set, visible []string) {
	r.SetMigrations(set, visible, func(ctx context.Context, t tenant.Tenant) error {
		config, err := r.ShardConfig(ctx, t.Placement.Shard)
		if err != nil {
			return err
		}
		path := "SELECT pg_catalog.set_config('search_path', " + pgscope.PathLiteral(t.Schema, visible) + ", false)"
		db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, path)
			return err
		}))
		defer db.Close()
		return set.Apply(ctx, db)
	})
}
