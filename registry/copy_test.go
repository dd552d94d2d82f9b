package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/internal/structure"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// everything has what copies could get wrong. The schema is called like one of its
// tables.
const everything = `
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN amount AS numeric(10,2) DEFAULT 0 CHECK (VALUE >= 0);
CREATE TYPE pair AS (a int, b mood);
CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x * 2';
CREATE FUNCTION boom() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'a trigger fired'; END$$;
CREATE FUNCTION ended() RETURNS bigint BEGIN ATOMIC SELECT 1; SELECT 2; END;
CREATE SEQUENCE "Odd. Number" INCREMENT 5;
CREATE TABLE item (
	id bigserial PRIMARY KEY,
	ref bigint GENERATED ALWAYS AS IDENTITY,
	no bigint DEFAULT nextval('"Odd. Number"'),
	name text NOT NULL UNIQUE DEFAULT 'tenant_source.item',
	mood mood DEFAULT 'ok',
	moods mood[] DEFAULT '{sad,ok}',
	price amount,
	size int CHECK (twice(size) > 0),
	doubled int GENERATED ALWAYS AS (twice(size)) STORED,
	spot pair DEFAULT '(1,sad)',
	rel regclass DEFAULT 'item'::regclass,
	acl aclitem,
	parent bigint REFERENCES item
);
CREATE TABLE a (id int PRIMARY KEY, b int);
CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);
ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
CREATE TABLE part (id int, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE INDEX ON part (at);
CREATE TABLE nothing (x int);
CREATE UNLOGGED TABLE empty_handed ();
CREATE TABLE tenant_source (id int, "x.y" text);
CREATE TABLE big (id int PRIMARY KEY, text text);
INSERT INTO big SELECT i, repeat('x', i % 50) FROM generate_series(1, 100000) i;
INSERT INTO item (name, size, parent) VALUES ('one', 1, NULL), ('two', 2, 1);
INSERT INTO item (name, size, parent) SELECT 'n' || i, i, 1 FROM generate_series(3, 200) i;
INSERT INTO a VALUES (1, NULL); INSERT INTO b VALUES (1, 1); UPDATE a SET b = 1;
INSERT INTO part SELECT i, '2020-07-01'::date + i FROM generate_series(1, 300) i;
INSERT INTO tenant_source VALUES (1, 'y'); INSERT INTO empty_handed DEFAULT VALUES;
CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql SET search_path FROM CURRENT AS 'SELECT count(*) FROM item';
CREATE VIEW cheap AS SELECT tenant_source.id, twice(item.size) AS d FROM tenant_source JOIN item USING (id);
CREATE VIEW upper AS SELECT d, 'tenant_source.item' AS t FROM cheap;
CREATE MATERIALIZED VIEW sums AS SELECT mood, count(*) AS n FROM item GROUP BY mood;
CREATE MATERIALIZED VIEW sums_of AS SELECT sum(n) AS n FROM sums;
CREATE INDEX ON sums (n);
CREATE MATERIALIZED VIEW bare AS SELECT 1 WITH NO DATA;
CREATE INDEX item_lower ON item (lower(name), twice(size)) WHERE size > 1;
CREATE STATISTICS stats ON size, name FROM item;
CREATE TRIGGER boom BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION boom();
ALTER TABLE item ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON item USING (size < twice(300));
CREATE RULE keep AS ON DELETE TO nothing DO INSTEAD NOTHING;
COMMENT ON TABLE item IS 'tenant_source.item';
SELECT nextval('"Odd. Number"');
`

// sumsSQL adds up what is in the schema of the path.
const sumsSQL = `SELECT concat_ws(' ', (SELECT concat_ws(',', count(*), sum(id), sum(ref), sum(no), sum(doubled), string_agg(moods::text || spot::text || rel, '' ORDER BY id)) FROM item),
	(SELECT count(*) || ',' || sum(length(text)) FROM big), (SELECT count(*) FROM part), (SELECT count(*) FROM part_2), (SELECT string_agg(b::text, ',') FROM a),
	(SELECT count(*) FROM empty_handed), (SELECT sum(d) FROM upper), (SELECT n FROM sums_of), counted(), obj_description('item'::regclass))`

type copyLab struct {
	*Registry
	dsn [2]string
}

// newCopyLab has two shards and the tenant source on the first.
func newCopyLab(t *testing.T, s *pgtest.Server, sql string) *copyLab {
	t.Helper()
	dir, _ := programsFor(t, s.Version)
	l := &copyLab{Registry: open(t, Config{DSN: s.Database(t), ProvisionTimeout: time.Millisecond, Programs: dir})}
	for i := range l.dsn {
		l.dsn[i] = s.Database(t)
		if err := l.AddShard(t.Context(), tenant.Shard{Name: fmt.Sprint("s", i), Region: "eu", Primary: l.dsn[i]}); err != nil {
			t.Fatal(err)
		}
	}
	spec := tenant.Spec{ID: "source", Shard: "s0", Tier: "pro", Attributes: `{"plan": "gold"}`}
	must(l.Create(t.Context(), spec))(t)
	run(t, l.dsn[0], "SET search_path = tenant_source; "+sql)
	return l
}

// copiers runs a test where pg_dump is new enough.
func copiers(t *testing.T, test func(t *testing.T, s *pgtest.Server)) {
	t.Helper()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		if _, ok := programsFor(t, s.Version); !ok {
			t.Skip("no pg_dump as new as PostgreSQL " + s.Version + ": install its client programs")
		}
		test(t, s)
	})
}

func structureOf(t *testing.T, dsn, schema string) string {
	t.Helper()
	conn := must(pgx.Connect(t.Context(), dsn))(t)
	defer conn.Close(context.Background())
	return must(structure.One(t.Context(), conn, schema))(t).Structure.Fingerprint()
}

func sums(t *testing.T, dsn, schema string) string {
	t.Helper()
	return query[string](t, dsn+"&search_path="+schema, sumsSQL)
}

func TestCopy(t *testing.T) {
	t.Parallel()
	copiers(t, func(t *testing.T, s *pgtest.Server) {
		l := newCopyLab(t, s, everything+"CREATE TABLE goose_db_version (id serial, version_id bigint); INSERT INTO goose_db_version (version_id) VALUES (7)")
		run(t, l.dsn[0], "UPDATE pg_class SET relname = relname WHERE false")
		if _, err := l.questions.Exec(t.Context(), "UPDATE tenancy.tenants SET version = 7 WHERE id = 'source'"); err != nil {
			t.Fatal(err)
		}
		for i, schema := range []string{"tenant_two", "Odd two"} {
			spec := tenant.Spec{ID: tenant.ID(fmt.Sprint("copy", i)), Schema: schema, Shard: fmt.Sprint("s", i)}
			c, err := l.Copy(WithActor(t.Context(), "alice"), "source", spec)
			if err != nil {
				t.Fatal(err)
			}
			if c.State != tenant.StateActive || c.Version != 7 || c.Tier != "pro" || c.Attributes != `{"plan": "gold"}` || c.Schema != schema {
				t.Errorf("%+v", c)
			}
			if a, b := structureOf(t, l.dsn[0], "tenant_source"), structureOf(t, l.dsn[i], schema); a != b {
				t.Errorf("fingerprints %s and %s", a, b)
			}
			quoted := strings.ReplaceAll(tenant.QuoteIdent(schema), " ", "%20")
			if a, b := sums(t, l.dsn[0], "tenant_source"), sums(t, l.dsn[i], quoted); a != b {
				t.Errorf("sums\n%s\n%s", a, b)
			}
			q := l.dsn[i] + "&search_path=" + quoted
			if n := query[int64](t, q, "SELECT nextval('\"Odd. Number\"')"); n != 1006 {
				t.Errorf("the next number is %d", n)
			}
			if n := query[string](t, q, "SELECT nextval('item_id_seq') || ' ' || nextval('item_ref_seq') || ' ' || (SELECT max(version_id) FROM goose_db_version)"); n != "201 201 7" {
				t.Errorf("the next IDs, and the version: %s", n)
			}
			events := must(l.Events(t.Context(), EventFilter{Tenant: c.ID}))(t)
			if len(events) != 2 || events[1].Actor != "alice" {
				t.Errorf("events %+v", events)
			}
			if n := query[int](t, q, "SELECT count(*)::int FROM pg_depend d JOIN pg_attrdef e ON d.objid = e.oid AND d.classid = 'pg_attrdef'::regclass JOIN pg_class c ON c.oid = d.refobjid AND d.refclassid = 'pg_class'::regclass AND c.relnamespace::regnamespace::text = 'tenant_source' JOIN pg_class t ON t.oid = e.adrelid WHERE t.relnamespace <> c.relnamespace"); n != 0 {
				t.Errorf("%d defaults lead to the source", n)
			}
		}
		if _, err := l.Copy(t.Context(), "source", tenant.Spec{ID: "copy0", Shard: "s0"}); !errors.Is(err, tenant.ErrExists) {
			t.Errorf("again: %v", err)
		}
		if _, err := l.Copy(t.Context(), "nobody", tenant.Spec{ID: "x", Shard: "s0"}); !errors.Is(err, tenant.ErrUnknown) {
			t.Errorf("of nobody: %v", err)
		}
		own := must(l.Copy(t.Context(), "copy0", tenant.Spec{ID: "copy9", Tier: "free", Attributes: `{"a": 1}`}))(t)
		if own.Tier != "free" || own.Attributes != `{"a": 1}` || own.Placement.Region != "eu" {
			t.Errorf("%+v", own)
		}
	})
}

func TestCopyRefuses(t *testing.T) {
	t.Parallel()
	copiers(t, func(t *testing.T, s *pgtest.Server) {
		l := newCopyLab(t, s, "CREATE TABLE t (id int PRIMARY KEY)")
		run(t, l.dsn[0], "CREATE SCHEMA shared; CREATE TABLE shared.plan (id int PRIMARY KEY)")
		for sql, want := range map[string]string{
			"CREATE TABLE x (id int CONSTRAINT far REFERENCES shared.plan)":                                       "foreign key far of table x refers to shared.plan",
			"CREATE VIEW x AS SELECT id FROM shared.plan":                                                         "view x reads shared.plan",
			"CREATE TABLE x () INHERITS (shared.plan)":                                                            "table x inherits from shared.plan",
			"CREATE FUNCTION x() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM tenant_source.t'":           "function x() writes out",
			"CREATE FUNCTION x() RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'TABLE tenant_source.t'; END$$": "function x() writes out",
			"CREATE TABLE x (o oid); INSERT INTO x SELECT lo_from_bytea(0, 'x')":                                  "column o of table x points to large objects",
			"CREATE EXTENSION pg_trgm SCHEMA tenant_source":                                                       "extension pg_trgm",
		} {
			if strings.Contains(sql, "pg_trgm") && query[int](t, l.dsn[0], "SELECT count(*)::int FROM pg_available_extensions WHERE name = 'pg_trgm'") == 0 {
				continue
			}
			run(t, l.dsn[0], "SET search_path = tenant_source; "+sql)
			_, err := l.Copy(t.Context(), "source", tenant.Spec{ID: "x", Shard: "s1"})
			if !errors.Is(err, ErrNotCopyable) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", sql, err)
			}
			name, kind := "tenant_source.x", strings.Fields(sql)[1]
			if kind == "EXTENSION" {
				name = "pg_trgm"
			}
			run(t, l.dsn[0], "DROP "+kind+" "+name)
			l.nothing(t, "x")
		}
		must(l.Copy(t.Context(), "source", tenant.Spec{ID: "x", Shard: "s1"}))(t)
	})
}

// nothing fails the test if a tenant, or its schema, is there.
func (l *copyLab) nothing(t *testing.T, id tenant.ID) {
	t.Helper()
	if _, err := l.Get(t.Context(), id); !errors.Is(err, tenant.ErrUnknown) {
		t.Errorf("tenant %s: %v", id, err)
	}
	for _, dsn := range l.dsn {
		if schemaExists(t, dsn, tenant.SchemaFor(id)) {
			t.Errorf("the schema of %s is there", id)
		}
	}
}

// Writers shift amounts from row to row: their sum is the same in every snapshot.
func TestCopyWhileOthersWrite(t *testing.T) {
	t.Parallel()
	copiers(t, func(t *testing.T, s *pgtest.Server) {
		l := newCopyLab(t, s, "CREATE TABLE left_side (id int PRIMARY KEY, n int); CREATE TABLE right_side (id serial PRIMARY KEY, n int); INSERT INTO left_side SELECT i, 100 FROM generate_series(1, 20000) i")
		ctx, stop := context.WithCancel(t.Context())
		writes := make(chan int)
		go func() {
			defer close(writes)
			conn, err := pgx.Connect(context.Background(), l.dsn[0])
			if err != nil {
				return
			}
			defer conn.Close(context.Background())
			for n := 0; ctx.Err() == nil; n++ {
				_, err := conn.PgConn().Exec(context.Background(), fmt.Sprintf("BEGIN; INSERT INTO tenant_source.right_side (n) VALUES (7); UPDATE tenant_source.left_side SET n = n - 7 WHERE id = %d; COMMIT", 1+n%20000)).ReadAll()
				if err != nil {
					return
				}
				select {
				case writes <- n:
				default:
				}
			}
		}()
		<-writes
		for i := range 3 {
			id := tenant.ID(fmt.Sprint("c", i))
			must(l.Copy(t.Context(), "source", tenant.Spec{ID: id, Shard: "s1"}))(t)
			q := l.dsn[1] + "&search_path=tenant_" + string(id)
			if sum := query[int](t, q, "SELECT (SELECT sum(n) FROM left_side) + coalesce((SELECT sum(n) FROM right_side), 0)"); sum != 2_000_000 {
				t.Errorf("the sum is %d", sum)
			}
			if !query[bool](t, q, "SELECT nextval('right_side_id_seq') > coalesce(max(id), 0) FROM right_side") {
				t.Error("the sequence is behind its rows")
			}
		}
		if _, going := <-writes; !going {
			t.Error("the writer was stopped")
		}
		stop()
		for range writes {
		}
	})
}

func TestACancelledCopyLeavesNothing(t *testing.T) {
	t.Parallel()
	copiers(t, func(t *testing.T, s *pgtest.Server) {
		l := newCopyLab(t, s, everything)
		begun := time.Now()
		must(l.Copy(t.Context(), "source", tenant.Spec{ID: "whole", Shard: "s1"}))(t)
		whole := time.Since(begun)
		for i := range 6 {
			ctx, cancel := context.WithTimeout(t.Context(), whole*time.Duration(i+1)/8)
			_, err := l.Copy(ctx, "source", tenant.Spec{ID: "x", Shard: "s1"})
			cancel()
			if err == nil {
				break // it was faster this time
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			l.nothing(t, "x")
		}
		if query[int](t, l.dsn[1], "SELECT count(*)::int FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%' AND datname = current_database()") != 0 {
			t.Error("a COPY still runs")
		}
	})
}

// What a copy left behind is another tenant's data: nobody may go on with it.
func TestACrashedCopyIsUndone(t *testing.T) {
	t.Parallel()
	copiers(t, func(t *testing.T, s *pgtest.Server) {
		l := newCopyLab(t, s, "CREATE TABLE secret (id int); INSERT INTO secret VALUES (1)")
		for i, next := range []func() (tenant.Tenant, error){
			func() (tenant.Tenant, error) { return l.Create(t.Context(), tenant.Spec{ID: "x", Shard: "s0"}) },
			func() (tenant.Tenant, error) {
				return l.Copy(t.Context(), "source", tenant.Spec{ID: "x", Shard: "s0"})
			},
		} {
			must(l.Copy(t.Context(), "source", tenant.Spec{ID: "x", Shard: "s1"}))(t)
			if _, err := l.questions.Exec(t.Context(), "UPDATE tenancy.tenants SET state = 'provisioning', updated_at = '2020-01-01' WHERE id = 'x'"); err != nil {
				t.Fatal(err)
			}
			x := must(next())(t)
			if x.Placement.Shard != "s0" || x.State != tenant.StateActive {
				t.Errorf("%+v", x)
			}
			if schemaExists(t, l.dsn[1], "tenant_x") {
				t.Error("the schema of the first is there")
			}
			if has := query[bool](t, l.dsn[0], "SELECT to_regclass('tenant_x.secret') IS NOT NULL"); has != (i == 1) {
				t.Errorf("%d: the table is there: %v", i, has)
			}
			if err := l.Delete(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestCopyNeedsPgDump(t *testing.T) {
	t.Parallel()
	l := newCopyLab(t, pgtest.Any(t), "CREATE TABLE t ()")
	l.cfg.Programs = t.TempDir()
	if _, err := l.Copy(t.Context(), "source", tenant.Spec{ID: "x", Shard: "s1"}); !errors.Is(err, ErrPrograms) {
		t.Errorf("without: %v", err)
	}
	script := "#!/bin/sh\ncase \"$1\" in --version) echo 'pg_dump (PostgreSQL) 99';; *) echo \"it said $PGPASSWORD\" >&2; exit 1;; esac\n"
	if err := os.WriteFile(filepath.Join(l.cfg.Programs, "pg_dump"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := l.Copy(t.Context(), "source", tenant.Spec{ID: "x", Shard: "s1"})
	if err == nil || !strings.Contains(err.Error(), "it said") {
		t.Errorf("with one that fails: %v", err)
	}
	l.nothing(t, "x")
}

func TestWithoutSession(t *testing.T) {
	t.Parallel()
	const text = `-- Dumped
\restrict aBc1
SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE SCHEMA x;
COMMENT ON SCHEMA x IS 'it''s; x';
CREATE FUNCTION x.f() RETURNS bigint
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT 1;
 SELECT pg_catalog.now();
END;
SET default_tablespace = '';
CREATE TABLE x.t (a text DEFAULT '\SET;');
\unrestrict aBc1
`
	got := strings.Join(strings.Fields(withoutSession(text)), " ")
	want := `-- Dumped CREATE FUNCTION x.f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT pg_catalog.now(); END; CREATE TABLE x.t (a text DEFAULT '\SET;');`
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
