package resolver

import (
	"context"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Directory tells where tenants live. It is asked for every statement, so it
// must answer from memory. registry.Registry is one.
type Directory interface {
	// Lookup returns a tenant, or an error that wraps tenant.ErrUnknown or
	// tenant.ErrUnavailable.
	Lookup(ctx context.Context, id tenant.ID) (tenant.Tenant, error)
	// Shard returns a shard, or an error that wraps tenant.ErrUnknownShard.
	Shard(ctx context.Context, name string) (tenant.Shard, error)
}

// ShardWatcher is what a Directory may implement to tell of shards that were
// changed or removed while the Router runs.
type ShardWatcher interface {
	// OnShardChange calls fn with the shard's name after each change, until
	// cancel is called.
	OnShardChange(fn func(name string)) (cancel func())
}
