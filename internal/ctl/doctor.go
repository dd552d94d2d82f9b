package ctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/internal/doctor"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// checkup are doctor's flags.
type checkup struct {
	files
	doctor.Options
	tenants []string
	fix     bool
}

func (a *app) doctorCommand() *cobra.Command {
	var c checkup
	cmd := a.destroy(&cobra.Command{
		Use:   "doctor",
		Short: "Look whether every tenant's schema is as it ought to be",
		Long: `Looks whether every tenant's schema is made as it ought to be, is where the control plane
says, and has the version that it says; and whether shards have schemas that nobody knows.
It changes nothing, and serves no one's statements.

Schemas are compared with what --migrations make (they are played in a schema of their
own, which is dropped), with the tenant --reference, or with what most tenants of the
same version have.

--fix mends what can be mended without losing anything: versions that the control plane
has wrong, creations that a crash left halfway, schemas in which migrations were tried.
It asks first, or wants --yes. For the rest the report says what mends it.

The exit code is 0 if everything was examined and is well, or has been mended, and 5 if
there are findings, or not everything could be examined.`,
		Example: `  tenantctl doctor --migrations ./migrations
  tenantctl doctor --migrations ./migrations --tenants acme,globex
  tenantctl doctor --fix --dry-run
  tenantctl doctor -o json | jq -r '.findings[] | [.kind, .tenant, .detail] | @tsv'`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.on(func(ctx context.Context, r *registry.Registry, _ []string) error {
			return a.doctor(ctx, r, c)
		}),
	})
	c.bind(cmd, "migrations")
	f := cmd.Flags()
	f.StringVar((*string)(&c.Reference), "reference", "", "tenant that the others of its version are compared with")
	f.StringArrayVar(&c.Shards, "shard", nil, "only this shard, and its tenants; may be said again")
	f.StringSliceVar(&c.tenants, "tenants", nil, "only these tenants")
	f.IntVar(&c.PerShard, "per-shard", 2, "connections that read each shard")
	f.BoolVar(&c.fix, "fix", false, "mend what can be mended without losing anything")
	cmd.MarkFlagsMutuallyExclusive("migrations", "reference")
	complete(cmd, "reference", a.tenants)
	complete(cmd, "shard", a.shards)
	complete(cmd, "tenants", a.tenants)
	return cmd
}

// options returns what the flags ask for. Tenants and shards must exist.
func (c *checkup) options(ctx context.Context, r *registry.Registry) (o doctor.Options, err error) {
	o = c.Options
	o.SearchPath = c.searchPath
	if c.PerShard < 1 {
		return o, usagef("--per-shard %d: want 1 or more", c.PerShard)
	}
	if c.dir != "" {
		if o.Set, err = c.load(); err != nil {
			return o, err
		}
	}
	named := slices.Clone(c.tenants)
	if c.Reference != "" {
		named = append(named, string(c.Reference))
	}
	for _, id := range named {
		if _, err := r.Get(ctx, tenant.ID(id)); err != nil {
			return o, err
		}
	}
	for _, name := range c.Shards {
		if _, err := r.Shard(ctx, name); err != nil {
			return o, err
		}
	}
	if len(c.tenants) > 0 {
		o.Only = func(t tenant.Tenant) bool { return slices.Contains(c.tenants, string(t.ID)) }
	}
	return o, nil
}

func (a *app) doctor(ctx context.Context, r *registry.Registry, c checkup) error {
	o, err := c.options(ctx, r)
	if err != nil {
		return err
	}
	if c.fix && !a.dryRun && !a.yes && !isTerminal(a.env.Stdin) {
		return fmt.Errorf("%w: --fix changes something, and there is no terminal to ask at: say --yes", errUnconfirmed)
	}
	p := a.newProgress("tenants")
	o.Progress = func(d doctor.Progress) { p.update(d.Done, d.Total, 0) }
	rep, err := doctor.Examine(ctx, r, o)
	p.finish()
	if rep == nil {
		return err
	}
	d := diagnosis{Report: *rep, DryRun: a.dryRun, Fixes: []doctor.Fixed{}}
	if !c.fix || d.fixable() == 0 {
		return errors.Join(a.showDiagnosis(&d), d.verdict(err))
	}
	return a.fix(ctx, r, &d, err)
}

// fix mends what was found, and shows all of it. partial is what the examination said.
func (a *app) fix(ctx context.Context, r *registry.Registry, d *diagnosis, partial error) error {
	if a.output == formatTable {
		if err := a.showDiagnosis(d); err != nil { // before it is asked about
			return err
		}
	}
	if !a.dryRun {
		if err := a.confirm(ctx, d.meaning(), "fix"); err != nil {
			return err
		}
	}
	p := a.newProgress("findings")
	failures := 0
	fixes, err := doctor.Fix(ctx, r, &d.Report, doctor.FixOptions{DryRun: a.dryRun, Observe: func(f doctor.Fixed) {
		d.Fixes = append(d.Fixes, f)
		if f.Error != "" {
			failures++
		}
		p.update(len(d.Fixes), d.fixable(), failures)
	}})
	p.finish()
	if err != nil && len(fixes) == 0 {
		return err
	}
	return errors.Join(a.showFixes(d), d.verdict(partial))
}

// meaning tells what --fix does.
func (d *diagnosis) meaning() string {
	var parts []string
	for _, k := range kinds {
		n := 0
		for _, f := range d.Findings {
			if f.Kind == k.kind && f.Fixable {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf(k.mends, n))
		}
	}
	return "This " + strings.Join(parts, ", ")
}
