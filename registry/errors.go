package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gormtenancy/gormtenancy/internal/pgtool"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// The registry's own conditions, beside those of package tenant.
var (
	// ErrInvalidTier: the text names no tier.
	ErrInvalidTier = errors.New("invalid tier")
	// ErrState: the tenant's state does not allow the operation.
	ErrState = errors.New("not possible in the tenant's state")
	// ErrSchemaExists: Create found a schema that it did not make.
	ErrSchemaExists = errors.New("schema exists already: enter it with Adopt, or create the tenant with another Spec.Schema")
	// ErrNoSchema: Adopt did not find the schema.
	ErrNoSchema = errors.New("schema does not exist: create the tenant with Create, or correct Spec.Schema and Spec.Shard")
	// ErrNoShard: there is no shard for a new tenant.
	ErrNoShard = errors.New("no shard for the tenant: register one with AddShard")
	// ErrNameTaken: the name leads to another tenant.
	ErrNameTaken = errors.New("name leads to another tenant: remove it there first")
	// ErrSameDatabase: the shard's primary is another shard's already.
	ErrSameDatabase = errors.New("its primary is another shard's already: give it a database of its own")
	// ErrNoArchive: the tenant is not archived, or a Delete has not finished.
	ErrNoArchive = errors.New("tenant has no archive that could be restored: Filter.Restorable lists those that have one")
	// ErrDamaged: the file is not what Archive wrote, or what came out of it is not
	// what went in.
	ErrDamaged = errors.New("archive is damaged, or another's: give the file as Archive wrote it")
	// ErrEntangled: objects of other schemas refer to the tenant's, or its own to them,
	// in a way that no export of one schema holds.
	ErrEntangled = errors.New("schema cannot be archived by itself: drop what leads out of it, or into it, first")
	// ErrChanged: the tenant's data is not what was exported.
	ErrChanged = errors.New("tenant was changed meanwhile: say it again")
	// ErrNotCopyable: something of the tenant cannot be copied; the error says what.
	ErrNotCopyable = errors.New("the tenant cannot be copied")
	// ErrPrograms: pg_dump or pg_restore is missing or older than the server; see
	// Config.Programs.
	ErrPrograms = pgtool.ErrMissing
	// ErrQuarantineFull: as many of the shard's tenants are in quarantine as may be.
	ErrQuarantineFull = errors.New("quarantine is full: too many of the shard's tenants are in it, release one first")
	// ErrNotQuarantined: the tenant is not in quarantine.
	ErrNotQuarantined = errors.New("tenant is not in quarantine")
	// ErrShardInUse: tenants live on the shard.
	ErrShardInUse = errors.New("shard has tenants: move or delete them first")
)

var errClosed = fmt.Errorf("%w: the registry is closed", tenant.ErrUnavailable)

// SQLSTATEs that are answers rather than failures.
const (
	uniqueViolation     = "23505"
	foreignKeyViolation = "23503"
	duplicateSchema     = "42P06"
	divisionByZero      = "22012"
	queryCanceled       = "57014"
)

func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// failed returns the error for a question that the control plane did not
// answer: tenant.ErrUnavailable, unless it was the caller who gave up.
func failed(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return fmt.Errorf("%s: %w: %w", op, tenant.ErrUnavailable, err)
}

func unknown(id tenant.ID) error { return fmt.Errorf("tenant %s: %w", id, tenant.ErrUnknown) }
