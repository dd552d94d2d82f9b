package migrations

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Options configures a run. The zero value brings every tenant to the newest
// version and begins no further tenant once one has failed.
type Options struct {
	// Target is the version to reach. Default, unless Down is set: the newest.
	Target int64
	// Down undoes the versions above Target, down to 0.
	Down bool
	// Only selects the tenants that take part. Default: all.
	Only func(tenant.Tenant) bool
	// Rings are run one after the other. A tenant is in the first that selects
	// it; those in none form a last ring, "rest".
	Rings []Ring
	// PerShard is how many tenants of a shard run at the same time, each on its
	// own connection. Default 4.
	PerShard int
	// Rate bounds how many tenants of a shard are begun in a second, so that the
	// application notices less of it. Default 0: as many as there are connections for.
	Rate float64
	// LockTimeout bounds how long a statement waits for a lock, and so how long
	// others queue up behind it. The tenant is tried again later. It does not
	// apply to what runs without a transaction, which could not be undone.
	// Default 2 s.
	LockTimeout time.Duration
	// StatementTimeout bounds each statement in a transaction. Default: the
	// server's.
	StatementTimeout time.Duration
	// Retries is how often a tenant is tried again after a lock timeout, a
	// deadlock, a lost connection, or because another process works on it.
	// Default 5; negative: never.
	Retries int
	// Backoff is the pause before the first of the retries of a ring; it
	// doubles each time, up to 10 s. Default 200 ms.
	Backoff time.Duration
	// MaxFailures is how many tenants may fail before no further one is begun.
	// Default 0; negative: any number.
	MaxFailures int
	// SearchPath are schemas that are searched after the tenant's own.
	SearchPath []string
	// Observe is told of every tenant's end, one call at a time. It must be
	// quick: the run waits for it.
	Observe func(Progress)
}

// Ring is a group of tenants that is migrated before the others. Exactly one of
// Tenants, Tier and Percent is set.
type Ring struct {
	Name    string
	Tenants []tenant.ID
	Tier    tenant.Tier
	// Percent of all tenants, 1 to 100, by a hash of the ID: always the same
	// ones, and each percentage holds those of the smaller ones.
	Percent int
}

const rest = "rest"

func (o Options) withDefaults(set *Set) (Options, error) {
	if o.Target == 0 && !o.Down {
		o.Target = set.Latest()
	}
	switch {
	case o.Target < 0 || !set.has(o.Target):
		return o, fmt.Errorf("target: %w: %d", ErrVersion, o.Target)
	case o.Down && set.recorded != nil:
		return o, fmt.Errorf("%w: what is recorded cannot be undone: migrate by files", ErrVersion)
	case o.PerShard < 0 || o.Rate < 0 || o.LockTimeout < 0 || o.StatementTimeout < 0 || o.Backoff < 0:
		return o, errors.New("PerShard, Rate, LockTimeout, StatementTimeout and Backoff cannot be negative: leave them out for the defaults")
	}
	if o.PerShard == 0 {
		o.PerShard = 4
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = 2 * time.Second
	}
	if o.Retries == 0 {
		o.Retries = 5
	}
	if o.Backoff == 0 {
		o.Backoff = 200 * time.Millisecond
	}
	for _, r := range o.Rings {
		if err := r.validate(); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (r Ring) validate() error {
	set := 0
	for _, is := range []bool{len(r.Tenants) > 0, r.Tier != "", r.Percent != 0} {
		if is {
			set++
		}
	}
	switch {
	case r.Name == "" || r.Name == rest:
		return fmt.Errorf("a ring needs a name other than %q", rest)
	case set != 1:
		return fmt.Errorf("ring %q: set exactly one of Tenants, Tier and Percent", r.Name)
	case r.Percent < 0 || r.Percent > 100:
		return fmt.Errorf("ring %q: %d percent: want 1 to 100", r.Name, r.Percent)
	}
	return nil
}

func (r Ring) selects(t tenant.Tenant) bool {
	switch {
	case r.Tier != "":
		return t.Tier == r.Tier
	case r.Percent != 0:
		h := fnv.New32a()
		h.Write([]byte(t.ID))
		// FNV's low bits are its worst; the high ones of a product mix them.
		return int(uint64(h.Sum32()*2654435769)*100>>32) < r.Percent
	}
	return slices.Contains(r.Tenants, t.ID)
}

// ring is a ring with its tenants.
type ring struct {
	name    string
	tenants []tenant.Tenant
}

// partition deals the tenants out to the rings.
func (o Options) partition(all []tenant.Tenant) []ring {
	rings := make([]ring, 0, len(o.Rings)+1)
	for _, r := range o.Rings {
		rings = append(rings, ring{name: r.Name})
	}
	rings = append(rings, ring{name: rest})
	for _, t := range all {
		i := slices.IndexFunc(o.Rings, func(r Ring) bool { return r.selects(t) })
		if i < 0 {
			i = len(o.Rings)
		}
		rings[i].tenants = append(rings[i].tenants, t)
	}
	return rings
}
