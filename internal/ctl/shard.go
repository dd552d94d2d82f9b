package ctl

import (
	"github.com/spf13/cobra"
)

func (a *app) shardCommand() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "shard",
		Short: "Add, list and remove shards",
		Long:  "A shard is a PostgreSQL database with its streaming replicas, where tenants' schemas live.",
	}, a.shardAdd(), a.shardList(), a.shardRemove())
}
