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
	// ErrNotCopyable: something of the tenant cannot be copied; the error says what.
	ErrNotCopyable = errors.New("the tenant cannot be copied")
	// ErrPrograms: PostgreSQL's own programs are missing, or older than the server.
	ErrPrograms = pgtool.ErrMissing
	// ErrShardInUse: tenants live on the shard.
	ErrShardInUse = errors.New("shard has tenants: move or delete them first")
)

var errClosed = fmt.Errorf("%w: the registry is closed", tenant.ErrUnavailable)

// SQLSTATEs that are answers rather than failures.
const (
	uniqueViolation     = "23505"
	foreignKeyViolation = "23503"
	duplicateSchema     = "42P06"
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
