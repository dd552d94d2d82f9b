package migrations

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Plan is what a run would do.
type Plan struct {
	Target int64
	Down   bool
	// Groups are in the order of the rings, then by shard and version.
	Groups []Group
	// Versions are those that any of the tenants would get or lose, in the order of
	// the run.
	Versions []Rehearsed
}

// Group is the tenants of a ring and a shard that have the same version.
type Group struct {
	Ring     string
	Shard    string
	From     int64
	Tenants  int
	Some     []tenant.ID // five of them at most
	Versions []int64     // that they would get, or lose
}

// Tenants counts them.
func (p *Plan) Tenants() int {
	n := 0
	for _, g := range p.Groups {
		n += g.Tenants
	}
	return n
}

// Preview tells what Run would do with the same arguments, and does none of it: who
// would run what, and which locks each statement takes, as it did in a schema of its
// own on a shard, which is made and dropped for that. Go migrations are not tried.
func Preview(ctx context.Context, fleet Fleet, set *Set, opts Options) (*Plan, error) {
	opts, err := opts.withDefaults(set)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	r := &run{caller: ctx, fleet: fleet, set: set, opts: opts}
	all, err := r.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	p := &Plan{Target: opts.Target, Down: opts.Down}
	for _, ring := range opts.partition(all) {
		if err := p.add(ring, r); err != nil {
			return nil, fmt.Errorf("migrations: %w", err)
		}
	}
	if len(p.Groups) == 0 {
		return p, nil
	}
	far := slices.MaxFunc(p.Groups, func(a, b Group) int { return cmp.Compare(len(a.Versions), len(b.Versions)) })
	if p.Versions, err = r.rehearse(ctx, far); err != nil {
		return nil, fmt.Errorf("migrations: rehearse on shard %s: %w", far.Shard, err)
	}
	return p, nil
}

// add enters a ring's tenants.
func (p *Plan) add(ring ring, r *run) error {
	type key struct {
		shard string
		from  int64
	}
	groups := map[key]*Group{}
	for _, t := range ring.tenants {
		k := key{t.Placement.Shard, t.Version}
		g := groups[k]
		if g == nil {
			steps, err := r.set.route(t.Version, r.opts.Target)
			if err != nil {
				return fmt.Errorf("tenant %s: %w", t.ID, err)
			}
			g = &Group{Ring: ring.name, Shard: k.shard, From: k.from}
			for _, st := range steps {
				for _, part := range st.parts {
					g.Versions = append(g.Versions, part.version)
				}
			}
			groups[k] = g
		}
		if g.Tenants++; len(g.Some) < 5 {
			g.Some = append(g.Some, t.ID)
		}
	}
	var sorted []Group
	for _, g := range groups {
		sorted = append(sorted, *g)
	}
	slices.SortFunc(sorted, func(a, b Group) int {
		return cmp.Or(cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.From, b.From))
	})
	p.Groups = append(p.Groups, sorted...)
	return nil
}
