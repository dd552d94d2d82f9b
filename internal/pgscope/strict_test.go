package pgscope

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// bucket is a login with a role for each of the schemas t0..tn-1.
type bucket struct {
	*testing.T
	dsn    string
	prefix string
	admin  *sql.DB
}

const secret = "s3cr3tw0rd"

func newBucket(t *testing.T, dsn string, n int) *bucket {
	t.Helper()
	b := &bucket{t, dsn, "gt_" + strings.ToLower(rand.Text()) + "_", tenants(t, dsn, n)}
	b.exec(fmt.Sprintf("create role %slogin login noinherit password '%s'", b.prefix, secret))
	t.Cleanup(func() { b.exec("drop role " + b.prefix + "login") })
	for i := range n {
		role := b.role(fmt.Sprintf("t%d", i))
		b.exec(fmt.Sprintf(`create role %[1]s; grant %[1]s to %[2]slogin; grant usage on schema t%[3]d to %[1]s;
			grant select, insert, update, delete, truncate on t%[3]d.who to %[1]s`, role, b.prefix, i))
		t.Cleanup(func() { b.exec("drop owned by " + role + "; drop role " + role) })
	}
	return b
}

func (b *bucket) role(id string) string { return b.prefix + id }

func (b *bucket) exec(text string) {
	b.Helper()
	if _, err := b.admin.Exec(text); err != nil {
		b.Fatalf("%s: %v", text, err)
	}
}

func (b *bucket) scope(ctx context.Context) (Scope, error) {
	s, err := byTenant(ctx)
	s.Role = b.role(s.Owner)
	return s, err
}

func (b *bucket) strict(c *Config) {
	c.Scope = b.scope
	c.Login = func(context.Context) (Login, error) { return Login{b.prefix + "login", secret}, nil }
}

func (b *bucket) open(n int, change ...func(*Config)) *sql.DB {
	b.Helper()
	return open(b.T, b.dsn, n, append([]func(*Config){b.strict}, change...)...)
}

type querier interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

// texts reads all that a query answers.
func texts(ctx context.Context, q querier, text string, args ...any) (all []string, err error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	cells := make([]any, len(columns))
	for i := range cells {
		cells[i] = new(any)
	}
	for rows.Next() {
		if err := rows.Scan(cells...); err != nil {
			return all, err
		}
		for _, c := range cells {
			all = append(all, fmt.Sprint(*c.(*any)))
		}
	}
	return all, rows.Err()
}

// denied is what attacks end with: the server's refusal, or ours.
func denied(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "42501", // insufficient privilege
			"42601", // cannot insert multiple commands into a prepared statement
			"0LP01": // invalid grant
			return true
		}
	}
	return errors.Is(err, tenant.ErrForbidden)
}

// attacks are the texts of t0 that want t1's row, or t1's role, NAME. Each is denied.
var attacks = []string{
	"select owner from t1.who",
	`select owner from "t1"."who" where id = 1`,
	"table t1.who",
	"select owner from who union all select owner from t1.who",
	"select (select owner from t1.who limit 1)",
	"select 1 from who where exists (select from t1.who)",
	"select w.owner from who join t1.who w using (id)",
	"with x as (select * from t1.who) select owner from x",
	"with x as (update t1.who set owner = 't0' returning owner) select owner from x",
	"explain analyze select owner from t1.who",
	"insert into who select 2, owner from t1.who returning owner",
	"insert into t1.who values (7, 't0')",
	"update who set owner = t1.who.owner from t1.who",
	"delete from t1.who",
	"merge into t1.who w using who s on w.id = s.id when matched then delete",
	"truncate t1.who",
	"copy t1.who to stdout",
	"copy (select owner from t1.who) to stdout",
	"copy who from program 'id'",
	"create temp table loot as select owner from t1.who",
	"select owner into temp loot from t1.who",
	"create table t1.mine (a int)",
	"create table mine (a int)",
	"create view t0.v as select owner from t1.who",
	"alter table t1.who owner to current_user",
	"alter table who add column a int",
	"drop table who",
	"drop schema t1 cascade",
	"grant usage on schema t1 to current_user",
	"grant NAME to current_user",
	"alter default privileges for role NAME grant select on tables to public",
	"create schema mine",
	"create role mine",
	"alter role NAME login",
	"create extension dblink",
	"create trigger x before insert on who for each row execute function suppress_redundant_updates_trigger()",
	"create rule x as on select to who do instead select owner from t1.who",
	"select pg_read_file('PG_VERSION')",
	"select lo_export(1, '/tmp/x')",
	// Out of the role.
	"reset role",
	"set role none",
	"set role NAME",
	`set local role "NAME"`,
	"set session role NAME",
	`set "role" to NAME`,
	"set session authorization default",
	"reset session authorization",
	"reset all",
	"discard all",
	"set local search_path = t1",
	"select set_config('role', 'NAME', true)",
	"select set_config('ro' || 'le', 'NAME', true)",
	"select pg_catalog.set_config(setting_name => 'role', new_value => 'NAME', is_local => true)",
	"select set_config(x, 'NAME', true) from (values ('role')) v (x)",
	`select "set_config"('role', 'none', false), owner from who`,
	"update pg_settings set setting = 'NAME' where name = 'role'",
	// Text of its own.
	"do $$ begin set local role NAME; end $$",
	"/* x */ do language plpgsql 'begin end'",
	"create function pg_temp.f() returns void language sql set role = NAME as 'select 1'",
	"create or replace function pg_temp.f() returns void language plpgsql as $$ begin reset role; end $$",
	"create procedure pg_temp.p() language plpgsql as $$ begin reset role; end $$",
	"select query_to_xml('select set_config(''role'', ''NAME'', true)', true, true, ''), query_to_xml('select owner from t1.who', true, true, '')",
	`select pg_catalog."query_to_xml"('select 1', true, true, '')`,
	"select * from ts_stat('select to_tsvector(set_config(''role'', ''NAME'', true))')",
	"select ('select to_tsvector(owner) from t1.who'::text).ts_stat",
	"select cursor_to_xml('c', 1, true, true, '')",
	"prepare x as select query_to_xml('select 1', true, true, '')",
	"create aggregate pg_temp.become(text, boolean) (sfunc = set_config, stype = text, initcond = 'role')",
	`create aggregate pg_temp.become(text, boolean) (sfunc = pg_catalog."set_config", stype = text, initcond = 'role')`,
	"create aggregate pg_temp.a(text) (sfunc = textcat, stype = text)",
	"create operator pg_temp.@ (function = ts_stat, rightarg = text)",
	"create operator pg_temp.@ (function = textcat, leftarg = text, rightarg = text)",
	// Wherever a function can stand.
	"copy (select set_config('role', 'NAME', true)) to stdout",
	"explain analyze select set_config('role', 'NAME', true)",
	"create temp table x as select set_config('role', 'NAME', true)",
	"create temp table x (a text default set_config('role', 'NAME', true))",
	"create temp view x as select set_config('role', 'NAME', true)",
	"insert into who values (9, set_config('role', 'NAME', true))",
	"values (set_config('role', 'none', true))",
	"prepare x as select set_config('role', 'NAME', true)",
	"call set_config('role', 'NAME', true)",
	// Several statements.
	"reset role; select owner from t1.who",
	"select 1; select owner from t1.who",
	"commit; select owner from t1.who",
	"select 1; select 2",
	// Those that no transaction takes.
	"vacuum who",
	"create index concurrently on who (owner)",
	"reindex table concurrently who",
}

func TestStrictAttacks(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		b := newBucket(t, dsn, 2)
		db := b.open(1)
		for _, text := range attacks {
			text = strings.ReplaceAll(text, "NAME", b.role("t1"))
			for _, how := range []string{"query", "exec", "arguments", "transaction", "prepared"} {
				got, err := attack(b, db, how, text)
				if !denied(err) || len(got) > 0 {
					t.Errorf("%s: %s: %q, %v", how, text, got, err)
				}
				for _, id := range []string{"t0", "t1"} {
					if got, err := owner(as(t, id), db); got != id || err != nil {
						t.Fatalf("after %s: %s: %s read %q, %v", how, text, id, got, err)
					}
				}
			}
		}
		var n int
		if err := b.admin.QueryRow("select count(*) from t1.who where owner = 't1'").Scan(&n); n != 1 || err != nil {
			t.Errorf("t1 has %d rows, %v", n, err)
		}
	})
}

func attack(b *bucket, db *sql.DB, how, text string) ([]string, error) {
	ctx := as(b.T, "t0")
	switch how {
	case "exec":
		_, err := db.ExecContext(ctx, text)
		return nil, err
	case "arguments":
		_, err := db.ExecContext(ctx, text, pgx.QueryExecModeExec)
		return nil, err
	case "transaction":
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, "savepoint s"); err != nil {
			return nil, err
		}
		if _, err := tx.ExecContext(ctx, "rollback to s"); err != nil {
			return nil, err
		}
		return texts(ctx, tx, text)
	case "prepared":
		st, err := db.PrepareContext(ctx, text)
		if err != nil {
			return nil, err
		}
		defer st.Close()
		_, err = st.ExecContext(ctx)
		return nil, err
	}
	return texts(ctx, db, text)
}

// A cursor, a prepared statement, a temporary view and savepoints carry no rights of
// their own.
func TestStrictHandles(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		b := newBucket(t, dsn, 2)
		db := b.open(1)
		for name, steps := range map[string][]string{
			"cursor":         {"declare c cursor for select owner from t1.who", "fetch all from c"},
			"held cursor":    {"declare c cursor with hold for select owner from t1.who", "commit", "fetch all from c"},
			"prepared":       {"prepare p as select owner from t1.who", "execute p"},
			"temporary view": {"create temp view v as select owner from t1.who", "select owner from pg_temp.v"},
			"lock":           {"lock table t1.who in access share mode"},
			"savepoint":      {"savepoint a", "select owner from who", "rollback to a", "release a", "select owner from t1.who"},
			"raw commit":     {"select 1", "commit", "select owner from t1.who"},
			"commit chain":   {"select 1", "commit and chain", "select owner from t1.who"},
			"rollback":       {"rollback", "select owner from t1.who"},
			"own default":    {"alter role current_user set role = none", "select owner from t1.who"},
		} {
			tx, err := db.BeginTx(as(t, "t0"), nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, text := range steps {
				if got, err = texts(as(t, "t0"), tx, text); err != nil {
					break
				}
			}
			tx.Rollback()
			if err == nil || strings.Contains(fmt.Sprint(got), "t1") {
				t.Errorf("%s: %q, %v", name, got, err)
			}
			for _, id := range []string{"t1", "t0"} {
				if got, err := owner(as(t, id), db); got != id || err != nil {
					t.Fatalf("after %s: %s read %q, %v", name, id, got, err)
				}
			}
		}
	})
}

// What strict mode does not stop: see doc.go. Should one of these fail one day, that
// can go.
func TestStrictRemains(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		b := newBucket(t, dsn, 2)
		b.exec(`create function t0.become(text) returns text language sql as $$ select set_config('role', $1, true) $$;
			create function t0.run(text) returns text language plpgsql as $$ declare r text; begin execute $1 into r; return r; end $$;
			create function t0.definer() returns text language sql security definer as $$ select owner from t1.who $$;
			create view t0.others as select owner from t1.who;
			grant select on t0.others to ` + b.role("t0"))
		db := b.open(1)
		for name, text := range map[string]string{
			"a function that sets the role":  "select become('NAME'), run('select owner from t1.who')",
			"a function that runs text":      "select run('select set_config(''role'', ''NAME'', true)'), run('select owner from t1.who')",
			"a function of the owner's":      "select definer()",
			"a view of the owner's":          "select owner from others",
			"names are everybody's to see":   "select nspname from pg_namespace where nspname = 't1'",
			"so are roles":                   "select 't1' from pg_roles where rolname = 'NAME'",
			"locks have no owner":            "select 't1' from pg_try_advisory_xact_lock(1)",
			"what PUBLIC may, anybody may":   "select 't1' from pg_catalog.pg_class where relname = 'who' limit 1",
			"notifications have no audience": "select 't1' from pg_notify('t1', 'hello')",
		} {
			got, err := texts(as(t, "t0"), db, strings.ReplaceAll(text, "NAME", b.role("t1")))
			if err != nil || !strings.Contains(fmt.Sprint(got), "t1") {
				t.Errorf("%s works no more, so that doc.go says too much: %q, %v", name, got, err)
			}
			for _, id := range []string{"t0", "t1"} {
				if got, err := owner(as(t, id), db); got != id || err != nil {
					t.Fatalf("after %s: %s read %q, %v", name, id, got, err)
				}
			}
		}
		// It lasts for the statement, also within a transaction.
		tx, err := db.BeginTx(as(t, "t0"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if _, err := texts(as(t, "t0"), tx, "select become('"+b.role("t1")+"')"); err != nil {
			t.Fatal(err)
		}
		if got, err := texts(as(t, "t0"), tx, "select owner from t1.who"); !denied(err) {
			t.Errorf("the next statement of the transaction read %q, %v", got, err)
		}
	})
}
