package pgscope

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// ownStatement returns the name of the wire's scope statement, as anybody can.
func ownStatement(t *testing.T, q querier) string {
	t.Helper()
	names, err := texts(as(t, "t0"), q, "select name from pg_prepared_statements where statement like 'select pg_catalog.set_config(''search_path'', $1, true)%' and statement not like '%timeout%'")
	if err != nil || len(names) != 1 {
		t.Fatalf("%q, %v", names, err)
	}
	return names[0]
}

// afterwards runs steps as t0 in a transaction, and returns what the last one read.
func afterwards(t *testing.T, db *sql.DB, role string, steps ...string) (got []string, err error) {
	t.Helper()
	tx, err := db.BeginTx(as(t, "t0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := texts(as(t, "t0"), tx, "select owner from who"); err != nil {
		t.Fatal(err)
	}
	scope := ownStatement(t, tx)
	for _, text := range steps {
		text = strings.NewReplacer("SCOPE", scope, "NAME", role).Replace(text)
		if got, err = texts(as(t, "t0"), tx, text); err != nil {
			return nil, err
		}
	}
	return got, nil
}

// Whatever took another role on in one statement of a transaction, with no word of it
// in its text, has lost it in the next.
func TestStrictRoleIsForOneStatement(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		b := newBucket(t, dsn, 2)
		b.exec(`create function t0.become(text) returns text language sql as $$ select set_config('role', $1, true) $$;
			create table t0.watched (a text);
			create function t0.watch() returns trigger language plpgsql as $$ begin perform t0.become(new.a); return new; end $$;
			create trigger w before insert on t0.watched for each row execute function t0.watch();
			grant all on t0.watched to ` + b.role("t0"))
		db := b.open(1)
		for name, steps := range map[string][]string{
			"create as": {"create temp table x as select become('NAME')"},
			"cursor":    {"declare c cursor for select become('NAME')", "fetch all from c"},
			"move":      {"declare c cursor for select become('NAME')", "move all from c"},
			"default":   {"create temp table d (a int, b text default become('NAME'))", "insert into d values (1)"},
			"view":      {"create temp view d as select become('NAME')", "table d"},
			"trigger":   {"insert into watched values ('NAME')"},
			"execute":   {"prepare p as select become('NAME')", "create temp table x as execute p"},
		} {
			if got, err := afterwards(t, db, b.role("t1"), append(steps, "select owner from t1.who")...); !denied(err) {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	})
}

// The statements that set the scope are in the session for anybody to find.
func TestStrictOwnStatementsAreNotExecuted(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		b := newBucket(t, dsn, 2)
		db := b.open(1)
		for _, text := range []string{
			`execute "SCOPE"('"t0", pg_temp', 'NAME')`,
			`create temp table x (a, b) as execute "SCOPE"('"t0", pg_temp', 'NAME')`,
			`explain analyze create temp table x (a, b) as execute U&"SCOPE" ('"t0", pg_temp', 'NAME')`,
		} {
			if got, err := afterwards(t, db, b.role("t1"), text); !errors.Is(err, tenant.ErrForbidden) {
				t.Errorf("%s: %q, %v", text, got, err)
			}
		}
		c, err := db.Conn(as(t, "t0"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := texts(as(t, "t0"), c, "select owner from who"); err != nil {
			t.Fatal(err)
		}
		scope := ownStatement(t, c)
		err = c.Raw(func(dc any) error {
			batch := &pgx.Batch{}
			batch.Queue(`execute "` + scope + `"('"t1", pg_temp', '` + b.role("t1") + `')`)
			batch.Queue("select owner from who")
			answers := dc.(*Conn).Conn().SendBatch(as(t, "t0"), batch)
			_, err := answers.Exec()
			var got string
			return errors.Join(err, answers.QueryRow().Scan(&got), answers.Close())
		})
		if !errors.Is(err, tenant.ErrForbidden) {
			t.Errorf("a batch: %v", err)
		}
	})
}

// rewriter is a pgx.QueryRewriter that replaces the text.
type rewriter string

// RewriteQuery implements pgx.QueryRewriter.
func (r rewriter) RewriteQuery(context.Context, *pgx.Conn, string, []any) (string, []any, error) {
	return string(r), nil, nil
}

// What pgx sends is what counts, not what it was given.
func TestRewrittenTextIsInspected(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		b := newBucket(t, dsn, 2)
		for name, db := range map[string]*sql.DB{"plain": open(t, dsn, 1), "strict": b.open(1)} {
			for _, text := range []string{"reset role", "set search_path = t1", "select set_config('role', 'x', true)"} {
				if got, err := texts(as(t, "t0"), db, "select 1", rewriter(text)); !errors.Is(err, tenant.ErrForbidden) {
					t.Errorf("%s: %s: %q, %v", name, text, got, err)
				}
			}
			if got, err := owner(as(t, "t1"), db); got != "t1" || err != nil {
				t.Errorf("%s: afterwards: %q, %v", name, got, err)
			}
		}
	})
}

// Where the server reads texts otherwise than package sqltext does, none is sent.
func TestUnreadableSettings(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		b := newBucket(t, dsn, 2)
		for _, text := range []string{"standard_conforming_strings = off", "client_encoding = 'SJIS'"} {
			b.exec("alter role " + b.prefix + "login set " + text)
			if got, err := owner(as(t, "t0"), b.open(1)); !errors.Is(err, errUnreadable) {
				t.Errorf("%s: %q, %v", text, got, err)
			}
			b.exec("alter role " + b.prefix + "login reset all")
		}
		b.exec(`create function t0.change(text, text) returns text language sql as $$ select set_config($1, $2, true) $$;
			create view t0.settings as select * from pg_settings; grant select, update on t0.settings to ` + b.role("t0"))
		db := b.open(1)
		hidden := `select '\' || ' , set_config($$role$$, $$NAME$$, true) --'`
		for _, text := range []string{
			"select change('standard_conforming_strings', 'off')",
			"select change('client_encoding', 'GBK')",
			"update settings set setting = 'off' where name = 'standard_conforming_strings'",
		} {
			if got, err := afterwards(t, db, b.role("t1"), text, hidden, "select owner from t1.who"); err == nil || denied(err) {
				t.Errorf("%s: %q, %v", text, got, err)
			}
			if got, err := owner(as(t, "t1"), db); got != "t1" || err != nil {
				t.Errorf("after %s: %q, %v", text, got, err)
			}
		}
	})
}

// What doc.go says of batches and of prepared texts. Should one of these fail one day,
// that can go.
func TestStrictRemainsOnTheConnection(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		b := newBucket(t, dsn, 2)
		b.exec("create function t0.become(text) returns text language sql as $$ select set_config('search_path', 't1', true), set_config('role', $1, true); select $1 $$")
		c, err := b.open(1).Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := texts(as(t, "t1"), c, "select 'a value of t1'"); err != nil {
			t.Fatal(err)
		}
		got, err := texts(as(t, "t0"), c, "select statement from pg_prepared_statements")
		if err != nil || !strings.Contains(strings.Join(got, " "), "a value of t1") {
			t.Errorf("prepared texts: %q, %v", got, err)
		}
		err = c.Raw(func(dc any) error {
			batch := &pgx.Batch{}
			batch.Queue("select become('" + b.role("t1") + "')")
			batch.Queue("select owner from who")
			answers := dc.(*Conn).Conn().SendBatch(as(t, "t0"), batch)
			_, err := answers.Exec()
			var got string
			if err = errors.Join(err, answers.QueryRow().Scan(&got), answers.Close()); got != "t1" {
				t.Errorf("the rest of a batch read %q, %v", got, err)
			}
			return err
		})
		if err != nil {
			t.Errorf("a batch: %v", err)
		}
	})
}
