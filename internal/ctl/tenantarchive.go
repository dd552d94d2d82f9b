package ctl

import (
	"context"
	"fmt"
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
