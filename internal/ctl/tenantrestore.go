package ctl

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func (a *app) tenantRestore() *cobra.Command {
	var from string
	var role bool
	var o registry.RestoreOptions
	cmd := a.change(&cobra.Command{
		Use:   "restore ID --from FILE|DIR [--shard S]",
		Short: "Bring an archived tenant back from its file",
		Long: `Brings an archived tenant back from the file that "tenant archive" wrote: its schema with
all that was in it, active or suspended as it was before. --from is the file, or the
folder that has it. The file is checked first, and each table is compared with what was
exported. If that fails, what was made is dropped, and the tenant stays archived.`,
		Example: `  tenantctl tenant list --restorable
  tenantctl tenant restore acme --from /var/backups/tenants
  tenantctl tenant restore acme --from /var/backups/tenants --shard eu-2`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: firstArg(a.tenantsLike(registry.Filter{Restorable: true})),
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			r.SetRoles(role && !a.dryRun)
			return a.restoreTenant(ctx, r, tenant.ID(args[0]), from, o)
		}),
	})
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "the file, or the folder that has it")
	f.StringVar(&o.Shard, "shard", "", "where it comes back, for instance because its own shard is lost")
	bindRole(cmd, &role, "give it a database role, also if it had none")
	complete(cmd, "shard", a.shards)
	if err := cmd.MarkFlagRequired("from"); err != nil {
		panic(err)
	}
	a.bindPrograms(cmd)
	return cmd
}

func (a *app) restoreTenant(ctx context.Context, r *registry.Registry, id tenant.ID, from string, o registry.RestoreOptions) error {
	t, err := r.Get(ctx, id)
	if err != nil {
		return err
	}
	if t.State == tenant.StateArchived && !t.DeleteAfter.IsZero() {
		return fmt.Errorf("restore tenant %s: it is to be deleted: take that back with tenantctl tenant undelete %s: %w", id, id, errRefused)
	}
	made, err := r.Archived(ctx, id)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	switch {
	case err != nil:
		return usage(err)
	case info.IsDir():
		from = filepath.Join(from, made.File)
	}
	if a.dryRun {
		t, err = r.PreviewRestore(ctx, id, from, o)
	} else {
		step := a.begin("restoring schema "+cell(t.Schema)+" from "+cell(from)+", "+bytesOf(made.Size), nil)
		t, err = r.Restore(ctx, id, from, o)
		step.end()
	}
	if err != nil {
		return err
	}
	v := viewTenant(t)
	c := change{Action: "restored", Tenant: &v, Archive: viewArchive(made, "")}
	return a.changed(c, "tenant "+string(id), fmt.Sprintf("%s, %s", place(t), t.State))
}
