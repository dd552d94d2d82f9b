package ctl

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
)

// shardList is the JSON form of the shards.
type shardList struct {
	Shards []shardCount `json:"shards"`
}

// shardCount is a shard with the number of its tenants, spare ones included and
// archived ones left out.
type shardCount struct {
	*shardView
	Tenants int `json:"tenants"`
}

func (a *app) shardList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the shards",
		Long: `Lists the shards with the number of their tenants (spare ones included, archived ones
not). Passwords are not shown.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.on(func(ctx context.Context, r *registry.Registry, _ []string) error {
			list, err := countShards(ctx, r)
			if err != nil {
				return err
			}
			return a.show(list, func(w io.Writer) {
				t := rows{{"NAME", "REGION", "TENANTS", "PRIMARY", "REPLICAS"}}
				for _, s := range list.Shards {
					t.add(s.Name, s.Region, s.Tenants, s.Primary, strings.Join(s.Replicas, " "))
				}
				t.write(w)
			})
		}),
	}
}

func countShards(ctx context.Context, r *registry.Registry) (shardList, error) {
	list := shardList{Shards: []shardCount{}}
	shards, err := r.Shards(ctx)
	if err != nil {
		return list, err
	}
	counts, err := r.Census(ctx)
	if err != nil {
		return list, err
	}
	tenants := map[string]int{}
	for _, c := range counts {
		tenants[c.Shard] += c.Tenants
	}
	for _, s := range shards {
		list.Shards = append(list.Shards, shardCount{viewShard(s), tenants[s.Name]})
	}
	return list, nil
}
