package tenant

import (
	"fmt"
	"time"
)

// State is a station of a tenant's life; see the package documentation.
type State string

// The states. Only an active tenant serves statements, unless the context
// says otherwise (Admit).
const (
	StateProvisioning State = "provisioning" // its schema is being made
	StateSpare        State = "spare"        // its schema was made ahead, and waits for a name
	StateActive       State = "active"
	StateSuspended    State = "suspended" // kept, refused
	StateMoving       State = "moving"    // on its way to another shard; still serves
	StateArchived     State = "archived"  // its schema is gone
)

// ParseState returns s as a State, or an error that lists the states.
func ParseState(s string) (State, error) {
	switch st := State(s); st {
	case StateProvisioning, StateSpare, StateActive, StateSuspended, StateMoving, StateArchived:
		return st, nil
	}
	return "", fmt.Errorf("unknown tenant state %s: want provisioning, spare, active, suspended, moving or archived", shown(s))
}

// Serves reports whether statements of a tenant in this state run.
func (s State) Serves() bool { return s == StateActive || s == StateMoving }

// Tier names a tenant's class of service. Nothing depends on it yet.
type Tier string

// TierDefault is the tier of a tenant that was created without one.
const TierDefault Tier = "standard"

// Placement says where a tenant's data lives.
type Placement struct {
	Shard  string // name of the shard
	Region string // region of the shard when it was placed, may be empty
	Epoch  int64  // grows by one with each change of placement; 1 as created
}

// Tenant is the registry's record of one tenant, a value that is never
// changed after it was handed out.
type Tenant struct {
	ID        ID
	Schema    string // name of its schema, unquoted
	State     State
	Tier      Tier
	Placement Placement
	// Role is the database role under which its statements run in strict mode, and
	// Login the one that logs in and takes it on; empty where it has none.
	Role, Login string
	// Version is the schema version that migrations have reached, 0 if none
	// is tracked. Statements of tenants at different versions never share a
	// prepared statement.
	Version int64
	// Migrating is whether its schema is about to change: a plan that was prepared
	// before may be refused. It is a hint, which a registry that has just started,
	// or lost a notification, cannot give.
	Migrating bool `json:"-"`
	// Attributes are the application's own.
	Attributes Attributes
	// DeleteAfter is when a tenant that is to be deleted may be; the zero time
	// if it is to stay.
	DeleteAfter time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Usable returns nil if statements of t may run under admission a (see
// Admit), else an error that wraps ErrSuspended or ErrNotActive.
func (t *Tenant) Usable(a Admission) error {
	if t.State.Serves() || a.allows(t.State) {
		return nil
	}
	if t.State == StateSuspended {
		return fmt.Errorf("tenant %s: %w", t.ID, ErrSuspended)
	}
	return fmt.Errorf("tenant %s is %s: %w", t.ID, t.State, ErrNotActive)
}

// Reached returns nil if t's schema has a version of the migrations, or is still
// being made, else an error that wraps ErrVersion.
func (t *Tenant) Reached(version int64) error {
	if t.Version >= version || t.State == StateProvisioning {
		return nil
	}
	return fmt.Errorf("tenant %s has version %d, not %d: %w", t.ID, t.Version, version, ErrVersion)
}

// Spec asks for a new tenant. Only ID is required.
type Spec struct {
	ID     ID
	Schema string // default SchemaFor(ID)
	Tier   Tier   // default TierDefault
	Region string // restricts the shards to this region
	Shard  string // places the tenant here instead of asking the ring
	// Attributes are the application's own; see NewAttributes.
	Attributes Attributes
}
