package pgscope

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestTransaction(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 2)
		for name, mode := range modes {
			t.Run(name, func(t *testing.T) {
				db := open(t, withMode(dsn, mode), 1)
				for i := range 6 {
					id := fmt.Sprintf("t%d", i%2)
					ctx := as(t, id)
					tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
					if err != nil {
						t.Fatal(err)
					}
					var level string
					if err := tx.QueryRowContext(ctx, "show transaction_isolation").Scan(&level); err != nil || level != "serializable" {
						t.Fatalf("isolation %q, %v", level, err)
					}
					if i%3 == 0 {
						if _, err := tx.ExecContext(ctx, "savepoint a"); err != nil {
							t.Fatal(err)
						}
						if _, err := tx.ExecContext(ctx, "rollback to savepoint a"); err != nil {
							t.Fatal(err)
						}
					}
					if got, err := owner(ctx, tx); err != nil || got != id {
						t.Fatalf("%s read %q, %v", id, got, err)
					}
					if err := tx.Commit(); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	})
}

func TestEmptyTransactionNeverReachesTheServer(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 1)
		db := open(t, dsn, 1)
		for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
			tx, err := db.BeginTx(as(t, "t0"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := end(tx); err != nil {
				t.Fatal(err)
			}
			if got, err := owner(as(t, "t0"), db); err != nil || got != "t0" {
				t.Fatalf("afterwards: %q, %v", got, err)
			}
		}
	})
}

func TestSetTransactionMayFollowBegin(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 1)
		db, ctx := open(t, dsn, 1), as(t, "t0")
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, "set transaction isolation level repeatable read"); err != nil {
			t.Fatal(err)
		}
		if got, err := owner(ctx, tx); err != nil || got != "t0" {
			t.Fatalf("%q, %v", got, err)
		}
	})
}

// Trap 2: another tenant, or none, inside an open transaction.
func TestForeignStatementClosesTheTransaction(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 2)
		for name, ctx := range map[string]context.Context{"other": as(t, "t1"), "none": t.Context()} {
			for _, started := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%t", name, started), func(t *testing.T) {
					db := open(t, dsn, 1)
					tx, err := db.BeginTx(as(t, "t0"), nil)
					if err != nil {
						t.Fatal(err)
					}
					if started {
						if _, err := tx.ExecContext(as(t, "t0"), "insert into who values (2, 'lost')"); err != nil {
							t.Fatal(err)
						}
					}
					want := tenant.ErrMismatch
					if name == "none" {
						want = tenant.ErrNone
					}
					if got, err := owner(ctx, tx); !errors.Is(err, want) {
						t.Fatalf("read %q, %v", got, err)
					}
					if err := tx.Commit(); err == nil {
						t.Fatal("the transaction was committed")
					}
					var n int
					if err := db.QueryRowContext(as(t, "t0"), "select count(*) from who where id = 2").Scan(&n); err != nil || n != 0 {
						t.Fatalf("%d rows, %v", n, err)
					}
				})
			}
		}
	})
}

// A BEGIN that fails must fail the statement that travels with it.
func TestFailedBeginFailsTheStatement(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		a := tenants(t, dsn, 1)
		for _, simple := range []bool{false, true} {
			db, ctx := open(t, dsn, 1), as(t, "t0")
			conn, err := db.Conn(ctx)
			if err != nil {
				t.Fatal(err)
			}
			tx, err := conn.BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := conn.Raw(func(dc any) error {
				dc.(*Conn).wire.held = "begin isolation level nonsense"
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if simple {
				_, err = tx.ExecContext(ctx, "insert into t0.who values (7, 'stray')")
			} else {
				_, err = tx.ExecContext(ctx, "insert into t0.who values ($1, 'stray')", 7)
			}
			if err == nil {
				t.Fatal("the statement ran")
			}
			tx.Rollback()
			conn.Close()
			var n int
			if err := a.QueryRow("select count(*) from t0.who where id = 7").Scan(&n); err != nil || n != 0 {
				t.Fatalf("%d stray rows, %v", n, err)
			}
		}
	})
}

func TestRawCommitIsNoticed(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 1)
		db, ctx := open(t, dsn, 1), as(t, "t0")
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(ctx, "update who set owner = owner; commit"); err != nil {
			t.Fatal(err)
		}
		if _, err := owner(ctx, tx); !errors.Is(err, tenant.ErrTxEnded) {
			t.Fatalf("a statement after a raw COMMIT: %v", err)
		}
		if err := tx.Commit(); !errors.Is(err, tenant.ErrTxEnded) {
			t.Fatalf("commit: %v", err)
		}
		if got, err := owner(ctx, db); err != nil || got != "t0" {
			t.Fatalf("afterwards: %q, %v", got, err)
		}
	})
}

func TestRawBeginDoesNotLeak(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 2)
		db := open(t, dsn, 1)
		if _, err := db.ExecContext(as(t, "t0"), "begin"); err != nil {
			t.Fatal(err)
		}
		if got, err := owner(as(t, "t1"), db); err != nil || got != "t1" {
			t.Fatalf("t1 read %q, %v", got, err)
		}
	})
}

func TestSetInsideTransactionIsTakenBack(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 2)
		for name, mode := range modes {
			db, ctx := open(t, withMode(dsn, mode), 1), as(t, "t0")
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			// A DO block hides the SET from the text, not from PostgreSQL 18's
			// report; SET LOCAL of something else shows in the tag.
			if _, err := tx.ExecContext(ctx, "set local lock_timeout = '1s'"); err != nil {
				t.Fatal(err)
			}
			if got, err := owner(ctx, tx); err != nil || got != "t0" {
				t.Fatalf("%s: %q, %v", name, got, err)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestCancelledStatement(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 2)
		db := open(t, dsn, 1)
		ctx, cancel := context.WithTimeout(as(t, "t0"), 30*time.Millisecond)
		defer cancel()
		if _, err := db.ExecContext(ctx, "select pg_sleep(5)"); err == nil {
			t.Fatal("it was not cancelled")
		}
		if got, err := owner(as(t, "t1"), db); err != nil || got != "t1" {
			t.Fatalf("afterwards: %q, %v", got, err)
		}
	})
}
