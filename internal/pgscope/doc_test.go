package pgscope

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The traps of the protocol, and the tests that fail where one is not minded:
//
//	 1  extended messages without a Sync before a simple query  FuzzWire, TestSimpleAndExtendedMixed
//	 2  another tenant, or none, inside an open transaction     TestForeignStatementClosesTheTransaction, FuzzWire
//	 3  messages that are nobody's answer                       TestAsidesArePassedOn, FuzzWire
//	 4  an unnamed scope statement, in describe_exec mode       TestStatementsRunInTheirTenantsSchema
//	    without names, behind a pooler                          tests/pooler
//	 5  what refuses to run behind another statement            TestCommandsOutsideTransactions
//	 6  plans of tables that differ or change                   TestTenantsOfDifferentShape, TestVersionsShareNoPlan
//	 7  names resolved by Parse                                 TestPreparedStatementServesEveryTenant
//	 8  out of step after errors, cancels, COPY, batches        TestInStepOrClosed, FuzzWire, FuzzBackend, FuzzFrontend
//	 9  prepared statements kept by text alone                  plugin (hazards_prepared_test.go), resolver
//	10  other drivers                                           plugin (portable_test.go)

// Trap 3. At this level PostgreSQL sends notices between the answers to what
// the wire inserts, too; and a notification comes before any answer at all.
func TestAsidesArePassedOn(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		a := tenants(t, dsn, 2)
		for name, mode := range modes {
			var notices, notifications atomic.Int64
			db := open(t, withMode(dsn, mode)+"&client_min_messages=debug5", 1, func(c *Config) {
				c.Conn.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) { notices.Add(1) }
				c.Conn.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) { notifications.Add(1) }
			})
			raw(as(t, "t0"), t, db, func(c *pgx.Conn) error {
				if _, err := c.Exec(as(t, "t0"), "listen news"); err != nil {
					return err
				}
				const id = "t0" // a listener serves nobody else
				for range 8 {
					if _, err := a.Exec("notify news"); err != nil {
						return err
					}
					var got string
					if err := c.QueryRow(as(t, id), "select owner from who where id = $1", 1).Scan(&got); err != nil || got != id {
						return fmt.Errorf("%s: %s read %q: %w", name, id, got, err)
					}
				}
				return nil
			})
			if notices.Load() == 0 || notifications.Load() == 0 {
				t.Errorf("%s: %d notices, %d notifications", name, notices.Load(), notifications.Load())
			}
		}
	})
}

// Trap 6, where nothing can be repeated: inside transactions.
func TestVersionsShareNoPlan(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		a := tenants(t, dsn, 2)
		if _, err := a.Exec("alter table t1.who add column extra text"); err != nil {
			t.Fatal(err)
		}
		db := open(t, dsn, 1)
		for i := range 40 {
			ctx := context.WithValue(as(t, fmt.Sprintf("t%d", i%2)), versionKey{}, int64(1+i%2))
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			rows, err := tx.QueryContext(ctx, "select * from who where id = $1", 1)
			if err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
			if names, err := rows.Columns(); err != nil || len(names) != 2+i%2 {
				t.Fatalf("round %d: columns %v, %v", i, names, err)
			}
			rows.Close()
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// What a DO block hid from the wire must not come back with a savepoint.
func TestRollbackToSavepointBringsNoPathBack(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 2)
		db, ctx := open(t, dsn, 1), as(t, "t0")
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		for _, text := range []string{
			"do $$ begin perform set_config('search_path', 't1', true); end $$",
			"savepoint a", "set local lock_timeout = '1s'", "update who set owner = owner", "rollback to savepoint a",
		} {
			if _, err := tx.ExecContext(ctx, text); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
		if got, err := owner(ctx, tx); err != nil || got != "t0" {
			t.Fatalf("%q, %v", got, err)
		}
	})
}
