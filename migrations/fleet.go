package migrations

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Fleet is who knows the tenants; *registry.Registry is one. Its versions
// are a copy of what the tenants' own tables say.
type Fleet interface {
	// Lagging returns a page of the tenants on one side of a version, spare ones
	// included and archived ones left out, in the order of version and ID. A page
	// shorter than q.Limit is the last.
	Lagging(ctx context.Context, q Lag) ([]tenant.Tenant, error)
	// ShardConfig returns the settings of connections to a shard's primary, a
	// copy. Errors hold no DSN.
	ShardConfig(ctx context.Context, name string) (*pgx.ConnConfig, error)
	// Locks opens a session that can lock tenants.
	Locks(ctx context.Context) (Locks, error)
	// Census counts the tenants, archived ones left out, by shard and version.
	Census(ctx context.Context) ([]Count, error)
}

// Lag asks for tenants that are not at a version.
type Lag struct {
	Version int64
	Above   bool // those above Version, instead of those below
	// The last tenant of the page before.
	AfterVersion int64
	After        tenant.ID
	Limit        int
}

// Count is a number of tenants.
type Count struct {
	Shard   string
	Version int64
	Tenants int
}

// Locks takes tenants' locks, those under which they are created, moved and
// deleted. It is safe for concurrent use; the locks end with Close, or with the
// connection that holds them.
type Locks interface {
	// Try locks those of the tenants that nobody else has locked, and tells the
	// applications that they are about to change.
	Try(ctx context.Context, ids []tenant.ID) (Held, error)
	// Finish gives the locks of held tenants back and registers, by their schemas,
	// the versions of those that it is given some for, in one round trip.
	Finish(ctx context.Context, held []tenant.Tenant, versions map[tenant.ID]int64) error
	Close(ctx context.Context)
}

// Held is what Try locked. Who is in neither list is locked by somebody else.
type Held struct {
	Tenants []tenant.Tenant // as they are now, under the lock
	Gone    []tenant.ID     // no such tenant any more; not locked
}
