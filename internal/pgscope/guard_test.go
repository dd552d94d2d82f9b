package pgscope

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Where a tenant's schema is gone, a CREATE TABLE makes a temporary table, and
// the session has it for good. No other tenant may find it.
func TestTemporaryByAccident(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		a := tenants(t, dsn, 2)
		if _, err := a.Exec("drop schema t0 cascade"); err != nil {
			t.Fatal(err)
		}
		for name, create := range map[string]string{
			"create table": "create table loot as select 'of t0' as owner", "select into": "select 'of t0' as owner into loot",
			"a block": "do $$ begin create table loot as select 'of t0' as owner; end $$",
		} {
			db := open(t, dsn, 1)
			if _, err := db.ExecContext(as(t, "t0"), create); err != nil {
				t.Fatal(err)
			}
			var owner string
			err := db.QueryRowContext(as(t, "t1"), "select owner from loot").Scan(&owner)
			if !isCode(err, "42P01") {
				t.Errorf("%s: another tenant found %q, %v", name, owner, err)
			}
			c, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.ExecContext(as(t, "t0"), create); err != nil {
				t.Fatal(err)
			}
			if err := c.QueryRowContext(as(t, "t1"), "select owner from loot").Scan(&owner); err == nil {
				t.Errorf("%s: another tenant found %q on a connection that it shares", name, owner)
			}
			c.Close()
		}
	})
}

// What is made in the tenant's schema costs the connection nothing.
func TestConnectionsOutliveDDL(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 2)
		db := open(t, dsn, 1)
		pid := func(id string) (n int) {
			if err := db.QueryRowContext(as(t, id), "select pg_backend_pid()").Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		before := pid("t0")
		if _, err := db.ExecContext(as(t, "t0"), "create table things (n int)"); err != nil {
			t.Fatal(err)
		}
		if pid("t0") != before || pid("t1") != before {
			t.Error("the connection was closed")
		}
	})
}

// The fence takes a snapshot, and these have to come before any.
func TestTheFenceDoesNotTakeATransactionsSnapshot(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 2)
		for name, mode := range modes {
			db := open(t, withMode(dsn, mode), 1)
			for _, text := range []string{
				"set transaction isolation level serializable", "lock table who", "savepoint s", "set local work_mem = '1MB'",
			} {
				if _, err := db.ExecContext(as(t, "t0"), "select 1"); err != nil {
					t.Fatal(err)
				}
				ctx := as(t, "t1")
				tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := tx.ExecContext(ctx, text); err != nil {
					t.Errorf("%s: %s: %v", name, text, err)
				}
				var owner string
				if err := tx.QueryRowContext(ctx, "select owner from who where id = 1").Scan(&owner); err != nil || owner != "t1" {
					t.Errorf("%s: behind %s: %q, %v", name, text, owner, err)
				}
				if err := tx.Rollback(); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

// A ping goes out ahead of a BEGIN that is held back, which is not lost with it.
func TestPingBeforeTheFirstStatement(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 1)
		c, err := open(t, dsn, 1).Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx := as(t, "t0")
		tx, err := c.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.PingContext(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(ctx, "update who set owner = 'lost'"); err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		var owner string
		if err := c.QueryRowContext(ctx, "select owner from who where id = 1").Scan(&owner); err != nil || owner != "t0" {
			t.Errorf("after the roll-back: %q, %v", owner, err)
		}
	})
}

func TestHooksLeaveTheSessionClean(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 1)
		for text, want := range map[string]error{
			"set search_path to t0": errHook, "create temp table mine (n int)": errHook, "set work_mem to '1MB'": nil,
		} {
			db := open(t, dsn, 1, func(c *Config) {
				c.Options = append(c.Options, stdlib.OptionAfterConnect(func(ctx context.Context, pc *pgx.Conn) error {
					_, err := pc.Exec(ctx, text)
					return err
				}))
			})
			if _, err := db.ExecContext(as(t, "t0"), "select 1"); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", text, err, want)
			}
		}
	})
}
