package ctl

import (
	"errors"

	"github.com/gormtenancy/gormtenancy/registry"
)

// advice tells what to do with tenantctl where the library's error speaks of Go.
var advice = []struct {
	on   error
	text string
}{
	{registry.ErrSchemaExists, `"tenantctl tenant adopt" enters a schema that exists; --schema gives the tenant another.`},
	{registry.ErrNoSchema, `Look at --schema and --shard; "tenantctl tenant create" makes a schema, "tenantctl doctor" finds lost ones.`},
	{registry.ErrNoShard, `"tenantctl shard add" adds one, "tenantctl shard list" lists them.`},
	{registry.ErrNoArchive, `"tenantctl tenant list --restorable" lists the tenants that have one.`},
	{registry.ErrPrograms, `--programs DIR names the folder that has them; they must be as new as the shard's server at least.`},
}

// adviceOn returns what to do about an error, or nothing.
func adviceOn(err error) string {
	for _, a := range advice {
		if errors.Is(err, a.on) {
			return a.text
		}
	}
	return ""
}
