package ctl

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// initialized is the JSON form of what init did.
type initialized struct {
	Action  string `json:"action"` // created, upgraded or unchanged
	DryRun  bool   `json:"dry_run"`
	Schema  string `json:"schema"`
	Before  int64  `json:"version_before"`
	Version int64  `json:"version"`
	Shard   string `json:"shard"` // that was registered, or would be
}

// initOptions are init's own flags.
type initOptions struct{ shard, region string }

func (a *app) initCommand() *cobra.Command {
	var o initOptions
	cmd := a.change(&cobra.Command{
		Use:   "init",
		Short: "Make the control plane, or bring it up to date",
		Long: `Makes the control plane's schema and tables in the control database, or brings them to
the version of this program. It can be said again: what is there stays.

With --shard, the control database itself is registered as the first shard.`,
		Example: `  tenantctl init --shard main --region eu
  tenantctl init --dry-run`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              a.run(func(ctx context.Context, _ []string) error { return a.initialize(ctx, o) }),
	})
	cmd.Flags().StringVar(&o.shard, "shard", "", "register the control database as the first shard, under this name")
	cmd.Flags().StringVar(&o.region, "region", "", "region of that shard")
	return cmd
}

func (a *app) initialize(ctx context.Context, o initOptions) error {
	if o.region != "" && o.shard == "" {
		return usagef("--region is the first shard's: say --shard too")
	}
	if o.shard != "" {
		if err := (tenant.Shard{Name: o.shard, Primary: "the control database"}).Validate(); err != nil {
			return usage(err)
		}
	}
	config, err := a.config()
	if err != nil {
		return err
	}
	version, latest, err := a.controlVersion(ctx, config)
	if err != nil {
		return err
	}
	done := initialized{Action: "unchanged", DryRun: a.dryRun, Schema: a.schema, Before: version, Version: max(version, latest)}
	switch {
	case version == 0:
		done.Action = "created"
	case version < latest:
		done.Action = "upgraded"
	}
	home := o.shard
	if home != "" && version > 0 && (!a.dryRun || version >= latest) {
		if home, err = a.firstShard(ctx, registry.Config{ConnConfig: config}, home); err != nil {
			return err
		}
	}
	done.Shard = home
	if !a.dryRun {
		r, err := a.openAt(ctx, registry.Config{ConnConfig: config, HomeShard: home, Region: o.region})
		if err != nil {
			return err
		}
		r.Close()
	}
	return a.show(done, func(w io.Writer) { a.tellInit(w, done) })
}

// firstShard returns name if it can be the first shard's, and nothing if it is.
func (a *app) firstShard(ctx context.Context, cfg registry.Config, name string) (string, error) {
	r, err := a.openAt(ctx, cfg)
	if err != nil {
		return "", err
	}
	defer r.Close()
	shards, err := r.Shards(ctx)
	switch {
	case err != nil:
		return "", err
	case len(shards) == 0:
		return name, nil
	case slices.ContainsFunc(shards, func(s tenant.Shard) bool { return s.Name == name }):
		return "", nil
	}
	return "", fmt.Errorf("register shard %s: there are shards already: add it with tenantctl shard add: %w", name, errRefused)
}

func (a *app) tellInit(w io.Writer, done initialized) {
	if a.quiet && !a.dryRun {
		return
	}
	would := ""
	if a.dryRun {
		would = "would be "
	}
	fmt.Fprintf(w, "control plane in schema %s %s%s, version %d\n", cell(done.Schema), would, done.Action, done.Version)
	if done.Shard != "" {
		fmt.Fprintf(w, "shard %s %sregistered\n", cell(done.Shard), would)
	}
}
