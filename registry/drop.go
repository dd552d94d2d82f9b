package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	// dropBatch is how many relations one transaction drops, with all that
	// belongs to them: some ten locks each, of the 6,400 that a server of default
	// settings has for everybody. A smaller schema is dropped in one statement.
	dropBatch = 100
	// dropPatience is how long a drop waits for a lock, in milliseconds.
	// Statements of the application that want the same table, which may be a
	// shared one that a foreign key leads to, wait behind it.
	dropPatience = "1000"
)

// SQLSTATEs after which a drop is tried again.
const (
	lockNotAvailable = "55P03"
	deadlock         = "40P01"
	outOfLocks       = "53200"
)

// relationsSQL lists what can be dropped by itself, partitions first and what
// is new before what is old: an old table is what newer ones refer to, so that few
// are locked for the sake of another. It never reads pg_class by namespace, which
// has no index.
const relationsSQL = `SELECT c.relname, c.relkind FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid
	WHERE d.refclassid = 'pg_catalog.pg_namespace'::regclass AND d.classid = 'pg_catalog.pg_class'::regclass
		AND d.refobjid = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend o WHERE o.classid = 'pg_catalog.pg_class'::regclass AND o.objid = c.oid
			AND (o.deptype = 'e' OR c.relkind = 'S' AND o.deptype IN ('a', 'i')))
	ORDER BY c.relispartition DESC, c.oid DESC LIMIT $2`

// dropKinds are the words of DROP by pg_class.relkind.
var dropKinds = map[string]string{
	"r": "TABLE", "p": "TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW", "f": "FOREIGN TABLE", "S": "SEQUENCE",
}

// dropAll drops a schema with all that is in it, a large one in batches. It waits for
// locks as long as ctx allows, a little at a time.
func dropAll(ctx context.Context, conn *pgx.Conn, schema string) error {
	for batch, last := dropBatch, false; !last; {
		err := patiently(ctx, func() (err error) {
			last, err = dropSome(ctx, conn, schema, batch)
			return err
		})
		if sqlState(err) == outOfLocks && batch > 1 {
			batch, last = batch/2, false
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// patiently runs fn again while it does not get its locks, as long as ctx allows.
func patiently(ctx context.Context, fn func() error) error {
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		err := fn()
		if state := sqlState(err); state != lockNotAvailable && state != deadlock {
			return err
		}
		if pause(ctx, jittered(wait)) != nil {
			return fmt.Errorf("its tables are in use: %w: %w", ctx.Err(), err)
		}
	}
}

// pause waits, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// dropSome drops a batch of a schema's relations, or with the last one the schema.
func dropSome(ctx context.Context, conn *pgx.Conn, schema string, batch int) (last bool, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('lock_timeout', $1, true)", dropPatience); err != nil {
			return err
		}
		statements, n, err := dropStatements(ctx, tx, schema, batch)
		if err != nil {
			return err
		}
		if last = n < batch; last {
			statements = []string{"DROP SCHEMA IF EXISTS " + tenant.QuoteIdent(schema) + " CASCADE"}
		}
		for _, sql := range statements {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
	return last, err
}

// dropStatements returns what drops the next n relations of a schema, batch at most.
func dropStatements(ctx context.Context, tx pgx.Tx, schema string, batch int) (statements []string, n int, err error) {
	rows, err := tx.Query(ctx, relationsSQL, schema, batch)
	if err != nil {
		return nil, 0, err
	}
	names := map[string][]string{}
	var name, kind string
	_, err = pgx.ForEachRow(rows, []any{&name, &kind}, func() error {
		word := dropKinds[kind]
		if word == "" {
			return errors.New("relation " + tenant.QuoteIdent(name) + " is of an unknown kind: drop it by hand")
		}
		names[word] = append(names[word], tenant.QuoteIdent(schema)+"."+tenant.QuoteIdent(name))
		n++
		return nil
	})
	for word, of := range names {
		// IF EXISTS: a view goes with its table.
		statements = append(statements, "DROP "+word+" IF EXISTS "+strings.Join(of, ", ")+" CASCADE")
	}
	return statements, n, err
}
