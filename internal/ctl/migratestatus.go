package ctl

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
)

// standing is the JSON form of where the fleet stands.
type standing struct {
	Latest  int64        `json:"latest"`
	Total   int          `json:"total"`
	Current int          `json:"current"` // at the latest version
	Behind  int          `json:"behind"`
	Ahead   int          `json:"ahead"`
	Shards  []shardStand `json:"shards"`
}

type shardStand struct {
	Shard   string `json:"shard"`
	Version int64  `json:"version"`
	Tenants int    `json:"tenants"`
}

func (a *app) migrateStatus() *cobra.Command {
	var f files
	cmd := &cobra.Command{
		Use:   "status --dir DIR",
		Short: "Count the tenants by version",
		Long: `Counts the tenants (spare ones included, archived ones not) by shard and version, as the
control plane has them.`,
		Example:           `  tenantctl migrate status --dir ./migrations -o json | jq .behind`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.on(func(ctx context.Context, r *registry.Registry, _ []string) error {
			set, err := f.load()
			if err != nil {
				return err
			}
			s, err := migrations.Status(ctx, r, set)
			if err != nil {
				return err
			}
			v := viewStanding(s)
			return a.show(v, func(w io.Writer) { tellStanding(w, v) })
		}),
	}
	f.bind(cmd, "dir")
	if err := cmd.MarkFlagRequired("dir"); err != nil {
		panic(err)
	}
	return cmd
}

func viewStanding(s *migrations.Standing) standing {
	v := standing{Latest: s.Latest, Behind: s.Behind, Ahead: s.Ahead, Current: s.Tenants[s.Latest], Shards: []shardStand{}}
	v.Total = v.Behind + v.Ahead + v.Current
	for _, shard := range slices.Sorted(maps.Keys(s.Shards)) {
		for _, version := range slices.Sorted(maps.Keys(s.Shards[shard])) {
			v.Shards = append(v.Shards, shardStand{shard, version, s.Shards[shard][version]})
		}
	}
	return v
}

func tellStanding(w io.Writer, v standing) {
	t := rows{{"SHARD", "VERSION", "TENANTS"}}
	for _, s := range v.Shards {
		t.add(s.Shard, s.Version, s.Tenants)
	}
	t.write(w)
	fmt.Fprintf(w, "%d of %d tenants have the latest version %d, %d are behind, %d ahead\n", v.Current, v.Total, v.Latest, v.Behind, v.Ahead)
}
