package tenant

import "errors"

// The conditions. Test for them with errors.Is; their texts say what to do.
var (
	// ErrNone: a statement reached the database layer without a tenant.
	ErrNone = errors.New("no tenant in the context: put one there with tenant.NewContext, or say tenant.Shared for shared tables")
	// ErrInvalidID: the text is not a tenant ID.
	ErrInvalidID = errors.New("invalid tenant ID")
	// ErrInvalidSchema: the text may not be a tenant's schema.
	ErrInvalidSchema = errors.New("invalid tenant schema")
	// ErrUnknown: the registry has no such tenant.
	ErrUnknown = errors.New("unknown tenant")
	// ErrSuspended: the tenant exists and is suspended.
	ErrSuspended = errors.New("tenant is suspended: resume it before use")
	// ErrNotActive: the tenant is being provisioned, or archived.
	ErrNotActive = errors.New("tenant does not serve in this state")
	// ErrVersion: the tenant's schema has not reached the version that is required.
	ErrVersion = errors.New("tenant's schema is older than this code requires: migrate it")
	// ErrExists: a tenant with this ID, or for this schema, exists already.
	ErrExists = errors.New("tenant exists already")
	// ErrMismatch: a statement named one tenant inside a transaction of
	// another. The transaction is lost.
	ErrMismatch = errors.New("another tenant inside an open transaction: the transaction was closed; end it before the context changes")
	// ErrMisplaced: the tenant does not live on the shard that was asked.
	ErrMisplaced = errors.New("tenant lives on another shard: look its placement up again")
	// ErrTxEnded: SQL text ended the transaction behind its owner's back.
	ErrTxEnded = errors.New("transaction was ended by a raw COMMIT or ROLLBACK: use Commit and Rollback")
	// ErrNoRole: in strict mode, the tenant has no database role to run under, or one
	// that this server does not have.
	ErrNoRole = errors.New("tenant has no database role: give it one with the registry's EnsureRole, or EnsureRoles for all")
	// ErrForbidden: the statement would step out of the tenant's scope.
	ErrForbidden = errors.New("statement is not allowed in a tenant's scope")
	// ErrLimited: the tenant is over one of its limits.
	ErrLimited = errors.New("tenant is over a limit: slow down, or raise it")
	// ErrUnknownShard: no shard of this name is registered.
	ErrUnknownShard = errors.New("unknown shard")
	// ErrUnavailable: the registry could not be asked.
	ErrUnavailable = errors.New("tenant registry is unavailable")
)
