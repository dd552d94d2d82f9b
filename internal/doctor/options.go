package doctor

import (
	"errors"
	"time"

	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Options say how to examine. The zero value compares tenants with each other.
type Options struct {
	// Set is the migrations that make the reference, and the target is their latest
	// version.
	Set *migrations.Set
	// SearchPath names the schemas behind the tenant's under which they are played,
	// as in migrations.Options.
	SearchPath []string
	// Reference names a tenant that is the reference of its version instead.
	Reference tenant.ID
	// Target is the version below which tenants are behind. Default the latest of
	// Set, else the highest that a tenant has.
	Target int64
	// Shards, if not empty, names the shards that are examined, with the tenants that
	// have their place there.
	Shards []string
	// Only, if not nil, selects the tenants about which there are findings. Without a
	// Set, the others are read too, to be compared with.
	Only func(tenant.Tenant) bool
	// PerShard is how many connections read each shard. Default 2.
	PerShard int
	// StuckAfter is how long a tenant may be in the state provisioning before that is
	// a finding. Default 1 min, like registry.Config.ProvisionTimeout.
	StuckAfter time.Duration
	// ScratchAfter is the age from which a scratch schema counts as left over. Default
	// 1 h.
	ScratchAfter time.Duration
	// Progress, if not nil, is called after every batch of schemas, by one goroutine
	// at a time.
	Progress func(Progress)
}

// Progress counts tenants whose structure was read.
type Progress struct {
	Shard string
	// Done and Total are of all shards that answer.
	Done, Total int
}

func (o Options) withDefaults() (Options, error) {
	if o.Set != nil && o.Reference != "" {
		return o, errors.New("doctor: Options has both Set and Reference: give one")
	}
	if o.PerShard < 0 || o.StuckAfter < 0 || o.ScratchAfter < 0 || o.Target < 0 {
		return o, errors.New("doctor: Options has a negative number: leave it out for the default")
	}
	if o.PerShard == 0 {
		o.PerShard = 2
	}
	if o.StuckAfter == 0 {
		o.StuckAfter = time.Minute
	}
	if o.ScratchAfter == 0 {
		o.ScratchAfter = time.Hour
	}
	if o.Target == 0 && o.Set != nil {
		o.Target = o.Set.Latest()
	}
	return o, nil
}
