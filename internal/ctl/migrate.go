package ctl

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const migrateHelp = `Migrations are goose files (00001_name.sql) in --dir. Each tenant's pending versions run
as one message in one transaction on its shard, some tenants of each shard at a time; a
tenant that is up to date costs no query. Whatever ends a run, each tenant has a version
in full, and the next run goes on. Any number of runs may work at the same time.`

func (a *app) migrateCommand() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "migrate",
		Short: "Migrate the schemas of all tenants",
		Long:  migrateHelp,
	}, a.migrateStatus(), a.migratePlan(), a.migrateUp(), a.migrateDown())
}

// migration are the flags of plan, up and down.
type migration struct {
	files
	migrations.Options
	rings, canary, shards, tenants []string
}

func (a *app) bindMigration(cmd *cobra.Command, m *migration) {
	m.bind(cmd, "dir")
	f := cmd.Flags()
	f.Int64Var(&m.Target, "target", 0, "version to reach (up: default the newest)")
	f.StringSliceVar(&m.canary, "canary", nil, "tenants that go first, as a ring of their own")
	f.StringArrayVar(&m.rings, "ring", nil, "then these: name=tier:pro, name=10% or name=tenants:a,b; may be said again, the rest comes last")
	f.StringArrayVar(&m.shards, "shard", nil, "only tenants on this shard; may be said again")
	f.StringSliceVar(&m.tenants, "tenants", nil, "only these tenants")
	f.IntVar(&m.PerShard, "per-shard", 4, "tenants of a shard at the same time")
	f.Float64Var(&m.Rate, "rate", 0, "tenants of a shard that are begun per second (default: no bound)")
	f.DurationVar(&m.LockTimeout, "lock-timeout", 0, "how long a statement waits for a lock before the tenant is tried again later (default 2s)")
	f.DurationVar(&m.StatementTimeout, "statement-timeout", 0, "how long a statement may take (default: the server's)")
	f.IntVar(&m.Retries, "retries", 0, "how often a tenant is tried again (default 5, negative: never)")
	f.IntVar(&m.MaxFailures, "max-failures", 0, "tenants that may fail before no further one is begun (negative: any number)")
	complete(cmd, "shard", a.shards)
	complete(cmd, "canary", a.tenants)
	complete(cmd, "tenants", a.tenants)
	if err := cmd.MarkFlagRequired("dir"); err != nil {
		panic(err)
	}
}

// options returns what the flags ask for. Tenants and shards must exist: nobody
// would notice that a canary with a misspelt name did not run.
func (m *migration) options(ctx context.Context, r *registry.Registry) (migrations.Options, error) {
	o := m.Options
	o.SearchPath = m.searchPath
	rings := slices.Clone(m.rings)
	if len(m.canary) > 0 {
		rings = slices.Insert(rings, 0, "canary=tenants:"+strings.Join(m.canary, ","))
	}
	named := slices.Clone(m.tenants)
	for _, text := range rings {
		ring, err := parseRing(text)
		if err != nil {
			return o, err
		}
		o.Rings = append(o.Rings, ring)
		named = append(named, collect(ring.Tenants, func(id tenant.ID) string { return string(id) })...)
	}
	for _, id := range named {
		if _, err := r.Get(ctx, tenant.ID(id)); err != nil {
			return o, err
		}
	}
	for _, name := range m.shards {
		if _, err := r.Shard(ctx, name); err != nil {
			return o, err
		}
	}
	if len(m.tenants)+len(m.shards) > 0 {
		o.Only = m.selects
	}
	return o, nil
}

func (m *migration) selects(t tenant.Tenant) bool {
	return (len(m.tenants) == 0 || slices.Contains(m.tenants, string(t.ID))) &&
		(len(m.shards) == 0 || slices.Contains(m.shards, t.Placement.Shard))
}

// parseRing reads name=tier:TIER, name=N% or name=tenants:ID,ID.
func parseRing(text string) (migrations.Ring, error) {
	name, what, _ := strings.Cut(text, "=")
	ring := migrations.Ring{Name: name}
	if name == "" || name == "rest" {
		return ring, usagef("--ring %.64q: a ring needs a name, and rest is that of all others", text)
	}
	if tier, ok := strings.CutPrefix(what, "tier:"); ok && tier != "" {
		ring.Tier = tenant.Tier(tier)
		return ring, nil
	}
	if ids, ok := strings.CutPrefix(what, "tenants:"); ok && ids != "" {
		ring.Tenants = collect(strings.Split(ids, ","), func(id string) tenant.ID { return tenant.ID(id) })
		return ring, nil
	}
	if percent, ok := strings.CutSuffix(what, "%"); ok {
		if n, err := strconv.Atoi(percent); err == nil && n >= 1 && n <= 100 {
			ring.Percent = n
			return ring, nil
		}
	}
	return ring, usagef("--ring %.64q: want name=tier:pro, name=10%% or name=tenants:a,b", text)
}

// prepare reads the files and the flags.
func (m *migration) prepare(ctx context.Context, r *registry.Registry) (*migrations.Set, migrations.Options, error) {
	set, err := m.load()
	if err != nil {
		return nil, migrations.Options{}, err
	}
	if m.Target < 0 || m.PerShard < 1 || m.Rate < 0 || m.LockTimeout < 0 || m.StatementTimeout < 0 {
		return nil, migrations.Options{}, usagef("--target, --rate, --lock-timeout and --statement-timeout cannot be negative, --per-shard must be at least 1")
	}
	o, err := m.options(ctx, r)
	return set, o, err
}
