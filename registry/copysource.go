package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/gormtenancy/gormtenancy/internal/pgtool"
	"github.com/gormtenancy/gormtenancy/internal/structure"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// copyTable is a table that holds rows itself.
type copyTable struct {
	oid  uint32
	name string
	// columns are those that are copied, quoted, with commas; generated ones are not.
	columns string
	// text is whether some column's binary form means nothing elsewhere.
	text bool
	// mayPoint are oid columns, which may point to large objects.
	mayPoint []string
}

// unlimited takes the session's limits of time off, and puts the schema in the path of
// what its own definitions call, for the rest of a transaction.
func unlimited(ctx context.Context, conn *pgx.Conn, schema string) error {
	_, err := conn.Exec(ctx, `SELECT set_config(name, '0', true) FROM pg_catalog.pg_settings WHERE name IN
		('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
		UNION ALL SELECT set_config('row_security', 'off', true)
		UNION ALL SELECT set_config('check_function_bodies', 'off', true)
		UNION ALL SELECT set_config('search_path', $1, true)`, tenant.QuoteIdent(schema)+", pg_temp")
	return err
}

// errAltered says that the source's tables changed before they were locked.
var errAltered = errors.New("its tables are being altered: copy it again later")

// begin takes the snapshot, once the tables can be neither altered nor dropped, and
// looks whether everything can be copied.
func (c *copying) begin(ctx context.Context) error {
	err := c.from.QueryRow(ctx, "SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1", c.source.Schema).Scan(&c.oid)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("schema %s: %w", tenant.QuoteIdent(c.source.Schema), ErrNoSchema)
	}
	if err != nil {
		return err
	}
	before, err := c.listTables(ctx)
	if err != nil {
		return err
	}
	if _, err := c.from.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return err
	}
	if len(before) > 0 {
		names := make([]string, len(before))
		for i, t := range before {
			names[i] = "ONLY " + qualified(c.source.Schema, t.name)
		}
		if _, err := c.from.Exec(ctx, "LOCK TABLE "+strings.Join(names, ", ")+" IN ACCESS SHARE MODE"); err != nil {
			return err
		}
	}
	if err := unlimited(ctx, c.from, c.source.Schema); err != nil {
		return err
	}
	if err := c.from.QueryRow(ctx, "SELECT pg_catalog.pg_export_snapshot()").Scan(&c.snapshot); err != nil {
		return err
	}
	if c.tables, err = c.listTables(ctx); err != nil {
		return err
	}
	if !sameTables(before, c.tables) {
		return errAltered
	}
	if c.sequences, err = collect[string](ctx, c.from, sequencesSQL, c.oid); err != nil {
		return err
	}
	return c.check(ctx)
}

func qualified(schema, name string) string {
	return tenant.QuoteIdent(schema) + "." + tenant.QuoteIdent(name)
}

func collect[T any](ctx context.Context, conn *pgx.Conn, sql string, args ...any) ([]T, error) {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}

// relations is a FROM that finds the relations of a schema ($1) by an index.
const relations = ` FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid
	WHERE d.refclassid = 'pg_catalog.pg_namespace'::regclass AND d.refobjid = $1 AND d.classid = 'pg_catalog.pg_class'::regclass `

const (
	copyTablesSQL = `SELECT c.oid, c.relname,
	coalesce((SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
		WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), ''),
	EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid WHERE a.attrelid = c.oid AND a.attnum > 0
		AND NOT a.attisdropped AND (t.typsend = 0 OR t.typnamespace = 'pg_catalog'::regnamespace AND t.typname ~ '^_?reg')),
	ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid WHERE a.attrelid = c.oid
		AND a.attnum > 0 AND NOT a.attisdropped AND 'oid'::regtype IN (t.oid, t.typbasetype))` + relations + `AND c.relkind = 'r' ORDER BY c.relname`
	sequencesSQL = "SELECT c.relname" + relations + "AND c.relkind = 'S' ORDER BY c.relname"
	// namesSQL reads what can stand behind the schema's name and a dot.
	namesSQL = `SELECT relname FROM pg_catalog.pg_class WHERE relnamespace = $1
		UNION SELECT typname FROM pg_catalog.pg_type WHERE typnamespace = $1 UNION SELECT proname FROM pg_catalog.pg_proc WHERE pronamespace = $1
		UNION SELECT collname FROM pg_catalog.pg_collation WHERE collnamespace = $1 UNION SELECT conname FROM pg_catalog.pg_conversion WHERE connamespace = $1
		UNION SELECT opcname FROM pg_catalog.pg_opclass WHERE opcnamespace = $1 UNION SELECT opfname FROM pg_catalog.pg_opfamily WHERE opfnamespace = $1
		UNION SELECT cfgname FROM pg_catalog.pg_ts_config WHERE cfgnamespace = $1 UNION SELECT dictname FROM pg_catalog.pg_ts_dict WHERE dictnamespace = $1
		UNION SELECT stxname FROM pg_catalog.pg_statistic_ext WHERE stxnamespace = $1`
	functionsSQL = "SELECT oid::regprocedure::text, prosrc FROM pg_catalog.pg_proc WHERE pronamespace = $1"
)

// obstaclesSQL tells what reaches out of the schema, or is more than rows.
const obstaclesSQL = `WITH rel AS (SELECT c.oid, c.relname, c.relkind` + relations + `)
SELECT format('foreign key %I of table %I refers to %s', k.conname, rel.relname, k.confrelid::regclass) FROM rel
	JOIN pg_catalog.pg_constraint k ON k.conrelid = rel.oid AND k.contype = 'f' JOIN pg_catalog.pg_class f ON f.oid = k.confrelid WHERE f.relnamespace <> $1
UNION SELECT format('view %I reads %s', rel.relname, f.oid::regclass) FROM rel JOIN pg_catalog.pg_rewrite w ON w.ev_class = rel.oid
	JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
	JOIN pg_catalog.pg_class f ON f.oid = d.refobjid WHERE f.relnamespace NOT IN ($1, 'pg_catalog'::regnamespace, 'information_schema'::regnamespace)
UNION SELECT format('table %I inherits from %s', rel.relname, f.oid::regclass) FROM rel JOIN pg_catalog.pg_inherits i ON i.inhrelid = rel.oid
	JOIN pg_catalog.pg_class f ON f.oid = i.inhparent WHERE f.relnamespace <> $1
UNION SELECT format('table %I has the child %s', rel.relname, f.oid::regclass) FROM rel JOIN pg_catalog.pg_inherits i ON i.inhparent = rel.oid
	JOIN pg_catalog.pg_class f ON f.oid = i.inhrelid WHERE f.relnamespace <> $1
UNION SELECT format('%I is a foreign table', relname) FROM rel WHERE relkind = 'f'
UNION SELECT format('extension %I is in the schema', e.extname) FROM pg_catalog.pg_extension e WHERE e.extnamespace = $1
ORDER BY 1`

func (c *copying) listTables(ctx context.Context) ([]copyTable, error) {
	rows, err := c.from.Query(ctx, copyTablesSQL, c.oid)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (t copyTable, err error) {
		return t, row.Scan(&t.oid, &t.name, &t.columns, &t.text, &t.mayPoint)
	})
}

// check refuses what cannot be copied.
func (c *copying) check(ctx context.Context) error {
	obstacles, err := collect[string](ctx, c.from, obstaclesSQL, c.oid)
	if err != nil {
		return err
	}
	names, err := collect[string](ctx, c.from, namesSQL, c.oid)
	if err != nil {
		return err
	}
	c.known = make(map[string]bool, len(names))
	for _, name := range names {
		c.known[name] = true
	}
	rows, err := c.from.Query(ctx, functionsSQL, c.oid)
	if err != nil {
		return err
	}
	var function, body string
	_, err = pgx.ForEachRow(rows, []any{&function, &body}, func() error {
		if structure.Mentions(body, c.source.Schema, c.known) {
			obstacles = append(obstacles, fmt.Sprintf("function %s writes out the schema's name in its body: leave that to the search path", function))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, t := range c.tables {
		for _, column := range t.mayPoint {
			var points bool
			err := c.from.QueryRow(ctx, fmt.Sprintf("SELECT EXISTS (SELECT FROM ONLY %s t JOIN pg_catalog.pg_largeobject_metadata m ON m.oid = t.%s)",
				qualified(c.source.Schema, t.name), tenant.QuoteIdent(column))).Scan(&points)
			if err != nil {
				return err
			}
			if points {
				obstacles = append(obstacles, fmt.Sprintf("column %s of table %s points to large objects", column, t.name))
			}
		}
	}
	if len(obstacles) > 0 {
		return fmt.Errorf("%w: %s", ErrNotCopyable, strings.Join(obstacles, "; "))
	}
	return nil
}

// dump has pg_dump write the DDL that comes before the rows, and behind them.
func (c *copying) dump(ctx context.Context) (before, after string, err error) {
	g, ctx := errgroup.WithContext(ctx)
	for section, to := range map[string]*string{"pre-data": &before, "post-data": &after} {
		g.Go(func() error {
			var out bytes.Buffer
			err := c.tool.Run(ctx, pgtool.Call{Database: c.config, App: "gormtenancy copy", Out: &out, Args: []string{
				"--section=" + section, "--snapshot=" + c.snapshot, "--schema=" + tenant.QuoteIdent(c.source.Schema), "--strict-names",
				"--no-owner", "--no-privileges", "--no-tablespaces", "--no-table-access-method", "--no-security-labels",
				"--no-publications", "--no-subscriptions", "--no-password", "--encoding=UTF8",
			}})
			ddl := withoutSession(out.String())
			*to = structure.Requalify(ddl, c.source.Schema, c.target.Schema, c.known)
			if by := structure.Passes(ddl, c.source.Schema, c.known); err == nil && by != "" {
				err = fmt.Errorf("%w: a text that names the schema is handed to %s (by a trigger, a default, a view): leave that to the search path", ErrNotCopyable, tenant.QuoteIdent(by))
			}
			return err
		})
	}
	return before, after, g.Wait()
}
