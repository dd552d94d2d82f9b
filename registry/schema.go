package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// createSchema makes and marks the tenant's schema. made is whether a schema
// with this mark may exist now. A schema with the mark is one that an earlier
// attempt made.
func (r *Registry) createSchema(ctx context.Context, rec *record) (made bool, err error) {
	err = r.onShard(ctx, rec.Placement.Shard, func(conn *pgx.Conn) error {
		made = true
		name := tenant.QuoteIdent(rec.Schema)
		// One message is one transaction. The mark holds no quote: it is an ID
		// and hexadecimal digits.
		sql := fmt.Sprintf("CREATE SCHEMA %s; COMMENT ON SCHEMA %s IS '%s'", name, name, rec.mark())
		_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
		if state := sqlState(err); state != duplicateSchema && state != uniqueViolation {
			return err
		}
		_, comment, err := schemaComment(ctx, conn, rec.Schema)
		if err != nil {
			return err
		}
		if rec.marked(comment) {
			return nil
		}
		made = false
		return ErrSchemaExists
	})
	if err != nil {
		return made, fmt.Errorf("create schema %s: %w", tenant.QuoteIdent(rec.Schema), err)
	}
	return made, nil
}

// dropSchema drops the tenant's schema and everything in it.
func (r *Registry) dropSchema(ctx context.Context, rec *record) error {
	err := r.onShard(ctx, rec.Placement.Shard, func(conn *pgx.Conn) error {
		exists, comment, err := schemaComment(ctx, conn, rec.Schema)
		if err != nil || !exists {
			return err
		}
		ours, err := owns(rec, comment)
		if err != nil || !ours {
			return err
		}
		_, err = conn.Exec(ctx, "DROP SCHEMA "+tenant.QuoteIdent(rec.Schema)+" CASCADE")
		return err
	})
	if err != nil {
		return fmt.Errorf("drop schema %s: %w", tenant.QuoteIdent(rec.Schema), err)
	}
	return nil
}

// owns decides by the comment on a schema whether it is the tenant's to drop.
func owns(rec *record, comment string) (bool, error) {
	switch {
	case rec.origin == "" || rec.marked(comment):
		return true, nil
	case rec.State == tenant.StateProvisioning:
		return false, nil // somebody else's, in whose way the creation came
	case strings.HasPrefix(comment, markPrefix):
		return false, errors.New("its comment says that it was made for another tenant or by another registry: drop it by hand if it is not")
	}
	return true, nil // somebody took the mark off
}

func schemaComment(ctx context.Context, conn *pgx.Conn, schema string) (exists bool, comment string, err error) {
	row := conn.QueryRow(ctx, `SELECT coalesce(obj_description(oid, 'pg_namespace'), '')
		FROM pg_catalog.pg_namespace WHERE nspname = $1`, schema)
	err = row.Scan(&comment)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, "", nil
	}
	return err == nil, comment, err
}
