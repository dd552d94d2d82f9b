package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// createSchema makes and marks the tenant's schema, and fills it if there is a
// script. made is whether a schema with this mark may exist now. One that has the
// mark already is what an earlier attempt made; it is not filled then.
func (r *Registry) createSchema(ctx context.Context, rec *record) (made, filled bool, err error) {
	name := tenant.QuoteIdent(rec.Schema)
	// One message is one transaction. The mark holds no quote: it is an ID and
	// letters and digits.
	sql := fmt.Sprintf("CREATE SCHEMA %s; COMMENT ON SCHEMA %s IS '%s'", name, name, rec.mark())
	if rec.Role != "" { // before the script, whose tables it is to have
		sql += ";\n" + grantFresh(rec.Schema, rec.Role)
	}
	script, scripted := r.scriptFor(rec.Schema)
	if scripted {
		sql += ";\n" + script
	}
	err = r.onShard(ctx, rec.Placement.Shard, func(conn *pgx.Conn) error {
		made = true
		_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
		if state := sqlState(err); state != duplicateSchema && state != uniqueViolation {
			if state == invalidText && strings.Contains(err.Error(), spoiledMark) {
				return &roleless{shard: rec.Placement.Shard, spoiled: rec.Role}
			}
			filled = err == nil && scripted
			return err
		}
		exists, comment, lookErr := schemaComment(ctx, conn, rec.Schema)
		switch {
		case lookErr != nil:
			return lookErr
		case !exists: // it was the script's fault
			return err
		case rec.marked(comment) && rec.Role != "":
			return grantRole(ctx, conn, rec.Schema, rec.Role)
		case rec.marked(comment):
			return nil
		}
		made = false
		return ErrSchemaExists
	})
	if err != nil {
		return made, filled, fmt.Errorf("create schema %s: %w", name, err)
	}
	return made, filled, nil
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
