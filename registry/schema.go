package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// createSchema makes and marks the tenant's schema, and fills it if there is a script
// (SetScript) and it is to be played. made is whether a schema with this mark may exist
// now. One that has the mark already is what an earlier attempt made; it is not filled
// then.
func (r *Registry) createSchema(ctx context.Context, rec *record, play bool) (made, filled bool, err error) {
	name, sql := tenant.QuoteIdent(rec.Schema), rec.makeSchema()
	if rec.Role != "" { // before the script, whose tables it is to have
		sql += ";\n" + grantFresh(rec.Schema, rec.Role)
	}
	script, scripted := r.scriptFor(rec.Schema)
	if scripted = scripted && play; scripted {
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

// makeSchema is the SQL for an empty schema with the tenant's mark: one message, which
// is one transaction.
func (rec *record) makeSchema() string {
	return "CREATE SCHEMA " + tenant.QuoteIdent(rec.Schema) + "; " + rec.markSchema(rec.Schema)
}

// markSchema is the SQL that marks a schema as the tenant's. The mark holds no quote:
// it is an ID and letters and digits.
func (rec *record) markSchema(name string) string {
	return fmt.Sprintf("COMMENT ON SCHEMA %s IS '%s'", tenant.QuoteIdent(name), rec.mark())
}

// dropSchema drops the tenant's schema and everything in it.
func (r *Registry) dropSchema(ctx context.Context, rec *record) error {
	return r.dropNamed(ctx, rec, rec.Schema, owns)
}

// dropMarked drops a schema that has the tenant's mark, and no other.
func (r *Registry) dropMarked(ctx context.Context, rec *record, schema string) error {
	return r.dropNamed(ctx, rec, schema, func(rec *record, comment string) (bool, error) { return rec.marked(comment), nil })
}

// dropNamed drops a schema if it is the tenant's.
func (r *Registry) dropNamed(ctx context.Context, rec *record, schema string, owns func(*record, string) (bool, error)) error {
	err := r.onShard(ctx, rec.Placement.Shard, func(conn *pgx.Conn) error {
		exists, comment, err := schemaComment(ctx, conn, schema)
		if err != nil || !exists {
			return err
		}
		ours, err := owns(rec, comment)
		if err != nil || !ours {
			return err
		}
		return dropAll(ctx, conn, schema)
	})
	if err != nil {
		return fmt.Errorf("drop schema %s: %w", tenant.QuoteIdent(schema), err)
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
