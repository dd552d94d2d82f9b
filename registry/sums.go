package registry

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// table is one of a schema's own tables, partitions among them, with the columns
// that hold data of their own.
type table struct {
	name    string
	columns []string
}

const tablesSQL = `SELECT c.relname, ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
		WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attname COLLATE "C")
	FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid
	WHERE d.refclassid = 'pg_catalog.pg_namespace'::regclass AND d.classid = 'pg_catalog.pg_class'::regclass AND c.relkind = 'r'
		AND d.refobjid = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1) ORDER BY c.relname COLLATE "C"`

// tablesOf lists a schema's tables.
func tablesOf(ctx context.Context, conn *pgx.Conn, schema string) ([]table, error) {
	rows, err := conn.Query(ctx, tablesSQL, schema)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (t table, err error) {
		err = row.Scan(&t.name, &t.columns)
		return t, err
	})
}

// lockSQLFor locks tables against writing, and waits for who writes. It takes no
// snapshot: one that is taken afterwards has what they wrote.
func lockSQLFor(schema string, tables []table) string {
	sql := "SET LOCAL lock_timeout = " + dropPatience
	for i, t := range tables {
		if i == 0 {
			sql += "; LOCK TABLE"
		} else {
			sql += ","
		}
		sql += " ONLY " + tenant.QuoteIdent(schema) + "." + tenant.QuoteIdent(t.name)
	}
	if len(tables) > 0 {
		sql += " IN SHARE MODE"
	}
	return sql
}

// plainOutput makes the text of a value depend on nothing but the value, for a
// transaction.
const plainOutput = `SET LOCAL search_path = pg_catalog; SET LOCAL datestyle = ISO; SET LOCAL intervalstyle = postgres; SET LOCAL timezone = UTC;
	SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = hex; SET LOCAL lc_monetary = 'C'; SET LOCAL xmlbinary = base64;
	SET LOCAL row_security = off; SET LOCAL statement_timeout = 0`

// sumTables reads all rows of a schema's tables, in conn's transaction.
func sumTables(ctx context.Context, conn *pgx.Conn, schema string) (map[string]TableSum, error) {
	if _, err := conn.PgConn().Exec(ctx, plainOutput).ReadAll(); err != nil {
		return nil, err
	}
	tables, err := tablesOf(ctx, conn, schema)
	if err != nil {
		return nil, err
	}
	sums := make(map[string]TableSum, len(tables))
	for _, t := range tables {
		var s TableSum
		if err := conn.QueryRow(ctx, t.sumSQL(schema)).Scan(&s.Rows, &s.Sum); err != nil {
			return nil, fmt.Errorf("sum table %s up: %w", tenant.QuoteIdent(t.name), err)
		}
		sums[t.name] = s
	}
	return sums, nil
}

// sumSQL sums a table's own rows up. The columns stand in the order of their names: a
// table that inherits may get them back in another.
func (t table) sumSQL(schema string) string {
	columns := make([]string, len(t.columns))
	for i, c := range t.columns {
		columns[i] = "t." + tenant.QuoteIdent(c)
	}
	return fmt.Sprintf(`SELECT count(*), coalesce(sum(hashtextextended(ROW(%s)::text COLLATE "C", 0)::numeric), 0)::text FROM ONLY %s.%s t`,
		strings.Join(columns, ", "), tenant.QuoteIdent(schema), tenant.QuoteIdent(t.name))
}

// difference says where two sums differ, empty if nowhere.
func difference(want, got map[string]TableSum) string {
	for name, w := range want {
		g, ok := got[name]
		switch {
		case !ok:
			return "table " + tenant.QuoteIdent(name) + " is missing"
		case g.Rows != w.Rows:
			return fmt.Sprintf("table %s has %d rows, not %d", tenant.QuoteIdent(name), g.Rows, w.Rows)
		case g != w:
			return "table " + tenant.QuoteIdent(name) + " has other contents"
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			return "table " + tenant.QuoteIdent(name) + " is new"
		}
	}
	return ""
}

// entangledSQL lists what no export of schema $1 by itself holds, or what its drop
// would take elsewhere.
const entangledSQL = `WITH ns AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1),
	mine AS (SELECT d.objid AS oid FROM pg_catalog.pg_depend d
		WHERE d.refclassid = 'pg_catalog.pg_namespace'::regclass AND d.classid = 'pg_catalog.pg_class'::regclass AND d.refobjid = (SELECT oid FROM ns)),
	theirs AS (SELECT d.classid, d.objid FROM mine JOIN pg_catalog.pg_depend d
		ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = mine.oid)
SELECT 'foreign key ' || f.conname || ' of ' || f.conrelid::regclass || ' to ' || f.confrelid::regclass FROM pg_catalog.pg_constraint f
	JOIN pg_catalog.pg_class c ON c.oid = f.confrelid WHERE f.contype = 'f' AND f.conrelid IN (SELECT oid FROM mine) AND c.relnamespace <> (SELECT oid FROM ns)
UNION ALL SELECT 'foreign key ' || f.conname || ' of ' || f.conrelid::regclass || ' to ' || f.confrelid::regclass FROM theirs
	JOIN pg_catalog.pg_constraint f ON theirs.classid = 'pg_catalog.pg_constraint'::regclass AND f.oid = theirs.objid AND f.contype = 'f'
	JOIN pg_catalog.pg_class c ON c.oid = f.conrelid WHERE c.relnamespace <> (SELECT oid FROM ns)
UNION ALL SELECT 'view ' || w.ev_class::regclass FROM theirs
	JOIN pg_catalog.pg_rewrite w ON theirs.classid = 'pg_catalog.pg_rewrite'::regclass AND w.oid = theirs.objid
	JOIN pg_catalog.pg_class c ON c.oid = w.ev_class WHERE c.relnamespace <> (SELECT oid FROM ns)
UNION ALL SELECT 'table ' || i.inhrelid::regclass || ', which inherits from ' || i.inhparent::regclass FROM pg_catalog.pg_inherits i
	JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
	WHERE c.relnamespace <> p.relnamespace AND (i.inhrelid IN (SELECT oid FROM mine) OR i.inhparent IN (SELECT oid FROM mine))
UNION ALL SELECT 'extension ' || e.extname FROM pg_catalog.pg_extension e WHERE e.extnamespace = (SELECT oid FROM ns)
LIMIT 3`

// requireAlone refuses a schema that cannot be archived by itself.
func requireAlone(ctx context.Context, conn *pgx.Conn, schema string) error {
	rows, err := conn.Query(ctx, entangledSQL, schema)
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(found) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", ErrEntangled, strings.Join(found, "; "))
}
