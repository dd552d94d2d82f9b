package structure

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/gormtenancy/gormtenancy/internal/sqltext"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Schema is one to be read.
type Schema struct {
	OID  uint32
	Name string
}

// Read is what Batch tells of a schema.
type Read struct {
	Schema
	// Structure is nil if the schema is not there any more.
	Structure *Structure
	// Version is goose's: the highest in its table, 0 without one.
	Version int64
}

const (
	// BatchSize is how many schemas are best read at once.
	BatchSize = 200
	// attempts bounds how often a batch is read that others change meanwhile.
	attempts = 5
)

// errGone: PostgreSQL writes its texts from the catalog as it is, and looks in vain, or
// fails, for what has been dropped since the transaction's snapshot.
var errGone = errors.New("an object was dropped meanwhile")

// ErrNoSchema says that there is no schema of that name.
var ErrNoSchema = errors.New("schema does not exist")

// One reads one schema. The error wraps ErrNoSchema if there is none.
func One(ctx context.Context, conn *pgx.Conn, name string) (Read, error) {
	s := Schema{Name: name}
	err := conn.QueryRow(ctx, "SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1", name).Scan(&s.OID)
	if err == nil {
		var all []Read
		if all, err = Batch(ctx, conn, []Schema{s}); err == nil && all[0].Structure != nil {
			return all[0], nil
		}
	}
	if err == nil || errors.Is(err, pgx.ErrNoRows) {
		return Read{}, fmt.Errorf("read schema %s: %w", quoted(name), ErrNoSchema)
	}
	return Read{}, fmt.Errorf("read schema %s: %w", quoted(name), err)
}

// Batch reads schemas in one transaction of its own, in the order given. What others
// change meanwhile it reads anew; it locks nothing. Of a schema that is gone it
// returns no structure.
func Batch(ctx context.Context, conn *pgx.Conn, schemas []Schema) ([]Read, error) {
	for n := 1; ; n++ {
		all, err := readBatch(ctx, conn, schemas)
		var pg *pgconn.PgError
		if err == nil || !errors.As(err, &pg) && !errors.Is(err, errGone) || n == attempts || ctx.Err() != nil {
			return all, err
		}
	}
}

// begin: what reads the catalog of thousands of schemas must not depend on the state
// of its statistics. Each join goes by an index.
const begin = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL jit = off;
SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off`

func readBatch(ctx context.Context, conn *pgx.Conn, schemas []Schema) (_ []Read, err error) {
	if _, err := conn.PgConn().Exec(ctx, begin).ReadAll(); err != nil {
		return nil, err
	}
	defer func() {
		if _, end := conn.Exec(ctx, "ROLLBACK"); err == nil {
			err = end
		}
	}()
	b, err := newBatch(schemas, conn)
	if err != nil {
		return nil, err
	}
	if err := b.relations(ctx, conn); err != nil {
		return nil, err
	}
	if err := b.objects(ctx, conn); err != nil {
		return nil, err
	}
	if err := b.versions(ctx, conn); err != nil {
		return nil, err
	}
	return b.results(), nil
}

// batch is some schemas being read.
type batch struct {
	schemas    []Schema
	namespaces []uint32
	// of the relations, one of each for each
	home, relation []uint32
	found          map[uint32]*found
	// views has the server's words for a view rewritten.
	views func(string) string
}

// found is what was found in a schema.
type found struct {
	name             string // empty: it is not there
	objects, columns []Object
	versioned        bool
	version          int64
}

func newBatch(schemas []Schema, conn *pgx.Conn) (*batch, error) {
	b := &batch{schemas: schemas, found: make(map[uint32]*found, len(schemas)), views: func(text string) string { return text }}
	if major, err := Major(conn); err != nil {
		return nil, err
	} else if major < sparesQualifiers {
		b.views = plainView
	}
	for _, s := range schemas {
		b.namespaces = append(b.namespaces, s.OID)
		b.found[s.OID] = &found{}
	}
	return b, nil
}

// Major returns the server's major version, such as 15.
func Major(conn *pgx.Conn) (int, error) {
	version := conn.PgConn().ParameterStatus("server_version")
	digits := strings.IndexFunc(version+".", func(c rune) bool { return c < '0' || c > '9' })
	major, err := strconv.Atoi(version[:digits])
	if err != nil {
		return 0, fmt.Errorf("the server has no version: %.64q", version)
	}
	return major, nil
}

func (b *batch) relations(ctx context.Context, conn *pgx.Conn) error {
	var home, relation uint32
	var name string
	var gooses, versioned bool
	ask := &pgx.Batch{}
	ask.Queue(namespacesSQL, b.namespaces).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&home, &name}, func() error {
			b.found[home].name = name
			return nil
		})
		return err
	})
	ask.Queue(relationsSQL, b.namespaces, VersionTable).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&home, &relation, &gooses, &versioned}, func() error {
			if b.found[home].versioned = b.found[home].versioned || versioned; !gooses {
				b.home, b.relation = append(b.home, home), append(b.relation, relation)
			}
			return nil
		})
		return err
	})
	return conn.SendBatch(ctx, ask).Close()
}

// resetPath keeps a schema's path from the next query, which is planned under it.
const resetPath = "SET LOCAL search_path = pg_catalog, pg_temp"

func (b *batch) objects(ctx context.Context, conn *pgx.Conn) error {
	ask := &pgx.Batch{}
	take := func(rows pgx.Rows) error { return b.take(rows) }
	for _, sql := range []string{tablesSQL, viewsSQL, columnsSQL, indexesSQL, constraintsSQL, triggersSQL, rulesSQL, policiesSQL, sequencesSQL} {
		ask.Queue(sql, b.home, b.relation).Query(take)
		ask.Queue(resetPath)
	}
	for _, sql := range []string{typesSQL, functionsSQL, othersSQL} {
		ask.Queue(sql, b.namespaces).Query(take)
		ask.Queue(resetPath)
	}
	return conn.SendBatch(ctx, ask).Close()
}

// take reads the rows of one of the queries.
func (b *batch) take(rows pgx.Rows) error {
	var home uint32
	var o Object
	var name, parentKind, parent, parentSub string
	var sub, definition pgtype.Text
	to := []any{&home, &o.Kind, &name, &sub, &definition, &parentKind, &parent, &parentSub, &o.position}
	_, err := pgx.ForEachRow(rows, to, func() error {
		if !sub.Valid || !definition.Valid {
			return errGone
		}
		o.Name, o.Definition = joined(name, sub.String), definition.String
		switch o.Kind {
		case "function", "procedure", "aggregate":
			o.Name = quoted(name) + "(" + sub.String + ")"
		case "view", "materialized view":
			o.Definition = b.views(o.Definition)
		case "sequence":
			if parent == VersionTable {
				return nil
			}
		}
		if o.parent = ""; parentKind != "" {
			o.parent = Object{Kind: parentKind, Name: joined(parent, parentSub)}.key()
		}
		f := b.found[home]
		if o.Kind == "column" {
			f.columns = append(f.columns, o)
		} else {
			f.objects = append(f.objects, o)
		}
		return nil
	})
	return err
}

// versions asks goose's tables.
func (b *batch) versions(ctx context.Context, conn *pgx.Conn) error {
	var parts []string
	for _, oid := range b.namespaces {
		if f := b.found[oid]; f.name != "" && f.versioned {
			parts = append(parts, fmt.Sprintf("SELECT %d::oid, coalesce(max(version_id), 0) FROM %s.%s", oid, tenant.QuoteIdent(f.name), VersionTable))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	// The text is another one each time: no reason to prepare it.
	rows, err := conn.Query(ctx, strings.Join(parts, " UNION ALL "), pgx.QueryExecModeDescribeExec)
	if err != nil {
		return err
	}
	var oid uint32
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&oid, &version}, func() error {
		b.found[oid].version = version
		return nil
	})
	return err
}

func (b *batch) results() []Read {
	all := make([]Read, len(b.schemas))
	for i, s := range b.schemas {
		all[i].Schema = s
		if f := b.found[s.OID]; f.name != "" {
			all[i].Name, all[i].Version = f.name, f.version
			rank(f.columns)
			f.hide()
			all[i].Structure = newStructure(append(f.objects, f.columns...), f.versioned)
		}
	}
	return all
}

// hide takes the schema's name out of definitions where it stands all the same: in front
// of names that pg_catalog has too, which is searched first.
func (f *found) hide() {
	qualifier := quoted(f.name) + "."
	var known map[string]bool
	for _, objects := range [][]Object{f.objects, f.columns} {
		for i := range objects {
			o := &objects[i]
			if !strings.Contains(o.Definition, qualifier) && !strings.Contains(o.Name, qualifier) {
				continue
			}
			if known == nil {
				known = f.names()
			}
			if strings.Contains(o.Name, "(") { // a function's arguments
				o.Name = Requalify(o.Name, f.name, "$schema", known)
			}
			o.Definition = Requalify(o.Definition, f.name, "$schema", known)
		}
	}
}

// names returns what is in the schema, without what is a part of something.
func (f *found) names() map[string]bool {
	known := map[string]bool{}
	for _, o := range f.objects {
		for t := range sqltext.Tokens(o.Name) {
			known[t.Text] = true
			break
		}
	}
	return known
}
