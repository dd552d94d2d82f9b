package ctl

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// archiveView is the JSON form of a tenant's export.
type archiveView struct {
	File          string     `json:"file"`       // its path where it was written, else its name
	Size          int64      `json:"size_bytes"` // of the file
	SHA256        string     `json:"sha256"`
	ServerVersion string     `json:"server_version"`
	At            *time.Time `json:"at"` // when the data was as it is in the file
	Tables        int        `json:"tables"`
	Rows          int64      `json:"rows"`
}

func viewArchive(x registry.Archive, dir string) *archiveView {
	v := &archiveView{File: filepath.Join(dir, x.File), Size: x.Size, SHA256: x.SHA256, ServerVersion: x.ServerVersion, At: moment(x.At), Tables: len(x.Tables)}
	for _, t := range x.Tables {
		v.Rows += t.Rows
	}
	return v
}

// String is a clause for people.
func (v *archiveView) String() string {
	return fmt.Sprintf("%s, %s, %d rows in %d tables", cell(v.File), bytesOf(v.Size), v.Rows, v.Tables)
}

func (a *app) tenantArchive() *cobra.Command {
	var dir string
	cmd := a.destroy(&cobra.Command{
		Use:   "archive ID --to DIR",
		Short: "Export a tenant to a file, and drop its schema",
		Long: `Suspends a tenant, exports its schema to a file in --to (pg_dump's custom format), and
drops the schema. The tenant stays, archived, until "tenant restore" brings it back or
"tenant delete" forgets it. Nothing is dropped before the export was read again to its
end and compared with tables that nobody can write to. If it fails before, or is
interrupted, the tenant is what it was; a schema that remains of an archived tenant goes
when the command is said again.

The file is all that is left of the data: copy it to where it is safe.

It asks for the tenant's ID, or wants --yes.`,
		Example: `  tenantctl tenant archive acme --to /var/backups/tenants
  tenantctl tenant restore acme --from /var/backups/tenants`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: firstArg(a.tenants),
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			return a.archiveTenant(ctx, r, tenant.ID(args[0]), dir)
		}),
	})
	cmd.Flags().StringVar(&dir, "to", "", "folder that the file is written to")
	mustDir(cmd, "to")
	a.bindPrograms(cmd)
	return cmd
}

// mustDir makes a flag required that names a folder.
func mustDir(cmd *cobra.Command, flag string) {
	if err := cmd.MarkFlagRequired(flag); err != nil {
		panic(err)
	}
	if err := cmd.MarkFlagDirname(flag); err != nil {
		panic(err)
	}
}

// bindPrograms adds the flag of commands that run PostgreSQL's programs.
func (a *app) bindPrograms(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.programs, "programs", "", "folder of pg_dump and pg_restore (default: they are found by PATH)")
	if err := cmd.MarkFlagDirname("programs"); err != nil {
		panic(err)
	}
}

func requireDir(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder", dir)
	}
	if err != nil {
		return usage(err)
	}
	return nil
}

func (a *app) archiveTenant(ctx context.Context, r *registry.Registry, id tenant.ID, dir string) error {
	if err := requireDir(dir); err != nil {
		return err
	}
	t, err := require(ctx, r, id, "archive", tenant.StateActive, tenant.StateSuspended, tenant.StateArchived)
	if err != nil {
		return err
	}
	if t.State == tenant.StateArchived {
		if _, err := r.Archived(ctx, id); err != nil {
			return err
		}
	}
	c := change{Action: "archived"}
	if !a.dryRun {
		if err := a.confirmArchive(ctx, t, dir); err != nil {
			return err
		}
		made, err := a.archive(ctx, r, t, dir)
		if err != nil {
			return err
		}
		if t.State == tenant.StateArchived {
			dir = "" // the file was written to wherever it was
		}
		c.Archive = viewArchive(made, dir)
		if t, err = r.Get(ctx, id); err != nil {
			return err
		}
	}
	v := viewTenant(t)
	c.Tenant = &v
	detail := place(t)
	if c.Archive != nil {
		detail = ": " + c.Archive.String()
	}
	if err := a.changed(c, "tenant "+string(id), detail); err != nil || a.dryRun {
		return err
	}
	a.hint("the file is all that is left of its data: copy it to where it is safe")
	return nil
}

func (a *app) confirmArchive(ctx context.Context, t tenant.Tenant, dir string) error {
	if t.State == tenant.StateArchived {
		return nil // it only finishes
	}
	meaning := fmt.Sprintf("This has tenant %s (%s) stop serving, and drops schema %s on shard %s once it is in a file in %s",
		t.ID, t.State, cell(t.Schema), cell(t.Placement.Shard), cell(dir))
	return a.confirm(ctx, meaning, string(t.ID))
}

func (a *app) archive(ctx context.Context, r *registry.Registry, t tenant.Tenant, dir string) (registry.Archive, error) {
	what := "exporting schema " + cell(t.Schema)
	if t.State == tenant.StateArchived {
		what = "it is archived: dropping what may be left of schema " + cell(t.Schema)
	}
	step := a.begin(what, newestIn(dir, string(t.ID)+"-*.dump.partial"))
	defer step.end()
	return r.Archive(ctx, t.ID, registry.ArchiveOptions{Dir: dir, Keep: func(_ context.Context, file string) error {
		step.next("exported to " + cell(file) + ", dropping the schema")
		return nil
	}})
}

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
