package registry

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func newPassword() tenant.Secret { return tenant.Secret(rand.Text()) }

// putRoles makes those of a batch that its shard lacks, and the login, all or none.
func (r *Registry) putRoles(ctx context.Context, b batch) error {
	verifier, err := scram(b.password)
	if err != nil {
		return err
	}
	return r.onShard(ctx, b.shard, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY ($1::text[])", append([]string{b.login}, b.roles...))
		if err != nil {
			return err
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		there := map[string]bool{}
		for _, n := range names {
			there[n] = true
		}
		var text strings.Builder
		login := tenant.QuoteIdent(b.login)
		if !there[b.login] {
			// NOINHERIT, or its memberships would be its own rights.
			fmt.Fprintf(&text, "CREATE ROLE %s LOGIN NOINHERIT PASSWORD '%s';\n", login, verifier)
		}
		for _, name := range b.roles {
			role := tenant.QuoteIdent(name)
			if !there[name] {
				fmt.Fprintf(&text, "CREATE ROLE %s NOLOGIN NOINHERIT;\n", role)
			}
			fmt.Fprintf(&text, "GRANT %s TO %s;\n", role, login)
		}
		_, err = conn.PgConn().Exec(ctx, text.String()).ReadAll()
		return err
	})
}

// scramIterations is PostgreSQL's own number. The passwords are random, so that more
// would only cost time.
const scramIterations = 4096

// scram returns a password as PostgreSQL stores it (RFC 5802). The password itself
// would stand in the server's log where that holds statements.
func scram(password tenant.Secret) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	salted, err := pbkdf2.Key(sha256.New, password.Reveal(), salt, scramIterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("derive a login's key: %w", err)
	}
	sign := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(sign("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramIterations, encode(salt), encode(stored[:]), encode(sign("Server Key"))), nil
}

// holds counts what a role r of pg_roles owns, may do, is set to or belongs to,
// anywhere on the server. A role that holds nothing is as good as new.
const holds = `(SELECT count(*) FROM pg_catalog.pg_shdepend WHERE refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND refobjid = r.oid)
	+ (SELECT count(*) FROM pg_catalog.pg_db_role_setting WHERE setrole = r.oid)
	+ (SELECT count(*) FROM pg_catalog.pg_auth_members WHERE member = r.oid)`

const cleanSQL = `SELECT rolname::text FROM pg_catalog.pg_roles r WHERE rolname = ANY ($1::text[]) AND ` + holds + ` = 0`

// cleanOn returns the roles that are there and hold nothing.
func cleanOn(ctx context.Context, conn *pgx.Conn, names []string) ([]string, error) {
	rows, err := conn.Query(ctx, cleanSQL, names)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func (r *Registry) cleanRoles(ctx context.Context, shard string, names []string) (clean []string, err error) {
	err = r.onShard(ctx, shard, func(conn *pgx.Conn) (err error) {
		clean, err = cleanOn(ctx, conn, names)
		return err
	})
	return clean, err
}

// The privileges of a tenant's role. TRIGGER and REFERENCES are not among them: who
// writes a table would run the tenant's code.
const (
	tableGrants    = "SELECT, INSERT, UPDATE, DELETE, TRUNCATE"
	sequenceGrants = "USAGE, SELECT, UPDATE"
)

// grantSchema is SQL that lets a role use a schema, and all tables and sequences that
// this user will make there.
func grantSchema(schema, role string) string {
	s, r := tenant.QuoteIdent(schema), tenant.QuoteIdent(role)
	return fmt.Sprintf(`GRANT USAGE ON SCHEMA %[1]s TO %[2]s;
ALTER DEFAULT PRIVILEGES IN SCHEMA %[1]s GRANT %[3]s ON TABLES TO %[2]s;
ALTER DEFAULT PRIVILEGES IN SCHEMA %[1]s GRANT %[4]s ON SEQUENCES TO %[2]s`, s, r, tableGrants, sequenceGrants)
}

// spoiledMark is in the error of a role that is not as good as new.
const spoiledMark = "gormtenancy: the role holds "

// grantFresh is grantSchema for a new schema. It fails if the role holds anything
// already (invalidText).
func grantFresh(schema, role string) string {
	return fmt.Sprintf(`SELECT CASE n WHEN 0 THEN 0 ELSE ('%s' || n)::integer END
	FROM (SELECT %s FROM pg_catalog.pg_roles r WHERE rolname = '%s') AS h (n);
%s`, spoiledMark, holds, role, grantSchema(schema, role))
}

const invalidText = "22P02"

// grantableSQL lists what a schema holds by its dependencies: pg_class has all
// schemas' relations, and no index on the schema.
const grantableSQL = `SELECT c.relname::text, c.relkind = 'S' FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid
	WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
	AND d.refobjid = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')`

// grantRole grants a role all that a tenant's role may do in a schema, whether it was
// there before or will be made by this user. It can be repeated. Whoever fills a
// tenant's schema otherwise than by this user's DDL calls it afterwards, under the
// tenant's lock.
func grantRole(ctx context.Context, conn *pgx.Conn, schema, role string) error {
	rows, err := conn.Query(ctx, grantableSQL, schema)
	if err != nil {
		return err
	}
	var name string
	var isSequence bool
	var tables, sequences []string
	_, err = pgx.ForEachRow(rows, []any{&name, &isSequence}, func() error {
		name := tenant.QuoteIdent(schema) + "." + tenant.QuoteIdent(name)
		if isSequence {
			sequences = append(sequences, name)
		} else {
			tables = append(tables, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	text := grantSchema(schema, role)
	if len(tables) > 0 {
		text += fmt.Sprintf(";\nGRANT %s ON %s TO %s", tableGrants, strings.Join(tables, ", "), tenant.QuoteIdent(role))
	}
	if len(sequences) > 0 {
		text += fmt.Sprintf(";\nGRANT %s ON SEQUENCE %s TO %s", sequenceGrants, strings.Join(sequences, ", "), tenant.QuoteIdent(role))
	}
	if _, err := conn.PgConn().Exec(ctx, text).ReadAll(); err != nil {
		return fmt.Errorf("grant what is in schema %s: %w", tenant.QuoteIdent(schema), err)
	}
	return nil
}
