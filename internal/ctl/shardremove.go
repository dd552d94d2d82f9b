package ctl

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func (a *app) shardRemove() *cobra.Command {
	return a.change(&cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a shard that has no tenants",
		Long: `Makes the control plane forget a shard. Its database stays as it is. A shard with tenants
is refused.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: firstArg(a.shards),
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			s, err := r.Shard(ctx, args[0])
			if err != nil {
				return err
			}
			if a.dryRun {
				err = requireEmpty(ctx, r, s.Name)
			} else {
				err = r.RemoveShard(ctx, s.Name)
			}
			if err != nil {
				return err
			}
			return a.changed(change{Action: "removed", Shard: viewShard(s)}, "shard "+s.Name, "")
		}),
	})
}

func requireEmpty(ctx context.Context, r *registry.Registry, name string) error {
	for _, state := range []tenant.State{"", tenant.StateSpare} { // "" leaves the spare ones out
		page, err := r.List(ctx, registry.Filter{Shard: name, State: state, Limit: 1})
		if err != nil {
			return err
		}
		if len(page) > 0 {
			return fmt.Errorf("remove shard %s: %w", name, registry.ErrShardInUse)
		}
	}
	return nil
}
