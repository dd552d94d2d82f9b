package pgscope

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// A role that a function took on for the session ends with the tenant's turn.
func TestStrictFenceMeetsRole(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		b := newBucket(t, dsn, 2)
		b.exec(`create function t0.keep(text) returns text language sql as $$ select set_config('role', $1, false) $$`)
		db := b.open(1, func(c *Config) {
			c.Scope = func(ctx context.Context) (Scope, error) {
				s, err := b.scope(ctx)
				if s.Owner == "rest" {
					s = Scope{Owner: "rest"}
				}
				return s, err
			}
		})
		ctx := as(t, "t0")
		if _, err := texts(ctx, db, "select keep('"+b.role("t0")+"')"); err != nil {
			t.Fatal(err)
		}
		if got, err := owner(as(t, "t1"), db); got != "t1" || err != nil {
			t.Errorf("t1 read %q, %v", got, err)
		}
		if got, err := texts(as(t, "t1"), db, "select current_setting('role'), current_user, session_user"); err != nil ||
			got[0] != b.role("t1") || got[1] != b.role("t1") || got[2] != b.prefix+"login" {
			t.Errorf("%q, %v", got, err)
		}
		for range 2 { // the second comes without a fence
			if got, err := texts(as(t, "rest"), db, "select current_setting('role'), current_user"); err != nil || got[0] != noRole || got[1] != b.prefix+"login" {
				t.Errorf("at rest: %q, %v", got, err)
			}
		}
	})
}

// Each form in which a transaction takes its role on: with its first statement, after
// another tenant or not, before a snapshot, again after what may have taken it off.
func TestStrictTransactions(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		b := newBucket(t, dsn, 2)
		b.exec(`create function t0.become(text) returns text language sql as $$ select set_config('role', $1, true) $$`)
		db := b.open(1)
		for name, steps := range map[string][]string{
			"a read first":         {},
			"a lock first":         {"lock table who in access share mode"},
			"a setting first":      {"set transaction isolation level repeatable read"},
			"a savepoint first":    {"savepoint s"},
			"a savepoint undone":   {"savepoint s", "rollback to s"},
			"set after savepoint":  {"savepoint s", "select become('none')", "select 1", "rollback to s"},
			"a function takes off": {"select become('none')"},
			"then something early": {"select become('none')", "savepoint s"},
			"a SET":                {"select become('none')", "set local work_mem = '1MB'", "lock table who in access share mode"},
		} {
			for _, former := range []string{"t0", "t1"} {
				if _, err := owner(as(t, former), db); err != nil {
					t.Fatal(err)
				}
				tx, err := db.BeginTx(as(t, "t0"), nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, text := range steps {
					if _, err := tx.ExecContext(as(t, "t0"), text); err != nil {
						t.Errorf("%s: %s: %v", name, text, err)
					}
				}
				got, err := texts(as(t, "t0"), tx, "select current_user::text, owner from who where id = 1")
				if err != nil || got[0] != b.role("t0") || got[1] != "t0" {
					t.Errorf("%s, after %s: %q, %v", name, former, got, err)
				}
				if got, err := texts(as(t, "t0"), tx, "select owner from t1.who"); !denied(err) {
					t.Errorf("%s, after %s: %q, %v", name, former, got, err)
				}
				tx.Rollback()
			}
		}
	})
}

// A role that is not there, or not the login's, is tenant.ErrNoRole, and costs no
// more than the statement.
func TestStrictWithoutRole(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		b := newBucket(t, dsn, 2)
		b.exec("create schema gone; create schema stranger; create role " + b.role("stranger"))
		t.Cleanup(func() { b.exec("drop role " + b.role("stranger")) })
		none := func(ctx context.Context) (Scope, error) {
			s, err := b.scope(ctx)
			if s.Owner == "nobody" {
				s.Role = ""
			}
			return s, err
		}
		db := b.open(1, func(c *Config) { c.Scope = none })
		for _, id := range []string{"gone", "stranger", "nobody", "gone"} {
			for range 2 {
				if _, err := owner(as(t, id), db); !errors.Is(err, tenant.ErrNoRole) {
					t.Errorf("%s: %v", id, err)
				}
				tx, err := db.BeginTx(as(t, id), nil)
				if err == nil {
					_, err = tx.ExecContext(as(t, id), "insert into who values (2)")
					tx.Rollback()
				}
				if !errors.Is(err, tenant.ErrNoRole) {
					t.Errorf("%s, in a transaction: %v", id, err)
				}
			}
			if got, err := owner(as(t, "t1"), db); got != "t1" || err != nil {
				t.Fatalf("then t1 read %q, %v", got, err)
			}
		}
	})
}

// The form of an Exec without arguments changes nothing that its caller sees.
func TestStrictExec(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		b := newBucket(t, dsn, 2)
		db := b.open(1)
		ctx := as(t, "t0")
		res, err := db.ExecContext(ctx, "insert into who select 10 + n, 't0' from generate_series(1, 3) n")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := res.RowsAffected(); n != 3 || err != nil {
			t.Errorf("%d rows, %v", n, err)
		}
		for _, text := range []string{"", " ", "-- nothing", "select owner from who", "create temp table x (a int)"} {
			if _, err := db.ExecContext(ctx, text); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
		_, err = db.ExecContext(ctx, "insert into who values (1)")
		if pg, ok := err.(*pgconn.PgError); !ok || pg.Code != "23505" { //nolint:errorlint // GORM looks at it so
			t.Errorf("%v", err)
		}
		if _, err := db.ExecContext(ctx, "nonsense"); err == nil || err.(*pgconn.PgError).Position != 1 { //nolint:errorlint // as above
			t.Errorf("%v", err)
		}
		short, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := db.ExecContext(short, "select pg_sleep(9)"); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if _, err := texts(ctx, db, "select owner from who where id = $1", pgx.QueryExecModeSimpleProtocol, 1); !errors.Is(err, tenant.ErrForbidden) {
			t.Errorf("the simple protocol: %v", err)
		}
		if got, err := owner(as(t, "t1"), db); got != "t1" || err != nil {
			t.Errorf("t1 read %q, %v", got, err)
		}
	})
}

// COPY, which pgx sends as a simple query, runs under the role too, first in its
// connection, behind another tenant and in a transaction.
func TestStrictCopy(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		b := newBucket(t, dsn, 2)
		db := b.open(1)
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		load := func(id, schema string, n int) error {
			return c.Raw(func(dc any) error {
				table := pgx.Identifier{"who"}
				if schema != "" {
					table = pgx.Identifier{schema, "who"}
				}
				_, err := dc.(*Conn).Conn().CopyFrom(as(t, id), table, []string{"id", "owner"}, pgx.CopyFromRows([][]any{{n, id}}))
				return err
			})
		}
		for n, id := range []string{"t0", "t1", "t1", "t0"} {
			if err := load(id, "", n+20); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
		if err := load("t0", "t1", 30); !denied(err) {
			t.Errorf("into another tenant's table: %v", err)
		}
		var foreign int
		if err := b.admin.QueryRow("select (select count(*) from t0.who where owner <> 't0') + (select count(*) from t1.who where owner <> 't1')").Scan(&foreign); foreign != 0 || err != nil {
			t.Errorf("%d foreign rows, %v", foreign, err)
		}
	})
}

func TestStrictConfig(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		b := newBucket(t, dsn, 1)
		conf, err := pgx.ParseConfig(dsn)
		if err != nil {
			t.Fatal(err)
		}
		conf.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
		cfg := Config{Conn: conf}
		b.strict(&cfg)
		if _, err := NewConnector(cfg); err == nil {
			t.Error("the simple protocol was taken")
		}
		owner := conf.User
		super := b.open(1, func(c *Config) {
			c.Login = func(context.Context) (Login, error) { return Login{owner, tenant.Secret(conf.Password)}, nil }
		})
		hooked := b.open(1, func(c *Config) {
			c.Options = []stdlib.OptionOpenDB{stdlib.OptionBeforeConnect(func(_ context.Context, c *pgx.ConnConfig) error {
				c.User, c.Password = owner, conf.Password
				return nil
			})}
		})
		for name, db := range map[string]*sql.DB{"a superuser": super, "a hook's user": hooked} {
			if _, err := db.ExecContext(as(t, "t0"), "select 1"); err == nil {
				t.Errorf("%s was taken for a login", name)
			}
		}
		plain := open(t, dsn, 1, func(c *Config) { c.Scope = b.scope })
		if _, err := plain.ExecContext(as(t, "t0"), "select 1"); !errors.Is(err, errRole) {
			t.Errorf("a role on an ordinary connection: %v", err)
		}
	})
}

// What tenants of one login leave or run beside each other is not each other's.
func TestStrictNeighbours(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		b := newBucket(t, dsn, 2)
		b.exec("create function t1.scratch() returns void language plpgsql as $$ begin create temp table loot as select owner from who; end $$")
		db := b.open(2)
		tx, err := db.BeginTx(as(t, "t1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		pid, err := texts(as(t, "t1"), tx, "select pg_backend_pid(), 'hush'::text")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := texts(as(t, "t0"), db, "select query from pg_stat_activity where query like '%hush%' and pid <> pg_backend_pid()"); err != nil || len(got) > 0 {
			t.Errorf("t0 reads what t1 runs: %q, %v", got, err)
		}
		if got, err := texts(as(t, "t0"), db, "select pg_terminate_backend($1)", pid[0]); !denied(err) {
			t.Errorf("t0 ends t1's session: %q, %v", got, err)
		}
		tx.Rollback()
		object, err := texts(as(t, "t1"), db, "select lo_from_bytea(0, 'hush')")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := texts(as(t, "t0"), db, "select lo_get($1)", object[0]); !denied(err) {
			t.Errorf("t0 reads t1's large object: %q, %v", got, err)
		}
		one := b.open(1)
		for _, id := range []string{"t1", "t0"} {
			if id == "t1" {
				if _, err := texts(as(t, id), one, "select scratch()"); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if got, err := texts(as(t, id), one, "select owner from loot"); err == nil {
				t.Errorf("t0 reads t1's temporary table: %q", got)
			}
			if got, err := texts(as(t, id), one, "select relname from pg_class where relname = 'loot'"); err != nil || len(got) > 0 {
				t.Errorf("t1's temporary table is still there: %q, %v", got, err)
			}
		}
	})
}
