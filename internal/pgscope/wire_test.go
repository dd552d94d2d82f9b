package pgscope

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gormtenancy/gormtenancy/tenant"
)

var modes = map[string]string{
	"cache_statement": "", "cache_describe": "cache_describe", "describe_exec": "describe_exec",
	"exec": "exec", "simple_protocol": "simple_protocol",
}

func withMode(dsn, mode string) string {
	if mode == "" {
		return dsn
	}
	return dsn + "&default_query_exec_mode=" + mode
}

func TestStatementsRunInTheirTenantsSchema(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 3)
		for name, mode := range modes {
			t.Run(name, func(t *testing.T) {
				db := open(t, withMode(dsn, mode), 1)
				for i := range 30 {
					id := fmt.Sprintf("t%d", i%3)
					ctx := as(t, id)
					if got, err := owner(ctx, db); err != nil || got != id {
						t.Fatalf("%s read %q, %v", id, got, err)
					}
					if _, err := db.ExecContext(ctx, "update who set owner = owner"); err != nil {
						t.Fatal(err)
					}
					if _, err := db.ExecContext(ctx, "update who set owner = owner where id = $1", 1); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	})
}

func TestNoTenantNoStatement(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 1)
		db := open(t, dsn, 1)
		if _, err := owner(t.Context(), db); !errors.Is(err, tenant.ErrNone) {
			t.Fatalf("query: %v", err)
		}
		if _, err := db.ExecContext(t.Context(), "select 1"); !errors.Is(err, tenant.ErrNone) {
			t.Fatalf("exec: %v", err)
		}
		if _, err := db.BeginTx(t.Context(), nil); !errors.Is(err, tenant.ErrNone) {
			t.Fatalf("begin: %v", err)
		}
	})
}

func TestNothingOutlivesTheStatement(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 1)
		db := open(t, dsn, 1, func(c *Config) {
			c.Scope = func(ctx context.Context) (Scope, error) {
				s, err := byTenant(ctx)
				if errors.Is(err, tenant.ErrNone) {
					return Scope{}, nil // at rest
				}
				return s, err
			}
		})
		if _, err := owner(as(t, "t0"), db); err != nil {
			t.Fatal(err)
		}
		var path string
		if err := db.QueryRowContext(t.Context(), "show search_path").Scan(&path); err != nil || path != `""` && path != "" {
			t.Fatalf("path at rest: %q, %v", path, err)
		}
		if _, err := owner(t.Context(), db); !isCode(err, "42P01") {
			t.Fatalf("a statement at rest found a table: %v", err)
		}
	})
}

func isCode(err error, code string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == code
}

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

// Trap 1, the order of messages: on 18, extended messages without a Sync
// before a simple query leave the transaction open.
func TestSimpleAndExtendedMixed(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 4)
		db := open(t, dsn, 2)
		for i := range 400 {
			id := fmt.Sprintf("t%d", i%4)
			ctx := as(t, id)
			var err error
			var got string
			switch i % 3 {
			case 0:
				got, err = owner(ctx, db)
			case 1:
				got, err = owner(ctx, db, pgx.QueryExecModeSimpleProtocol)
			case 2:
				_, err = db.ExecContext(ctx, "update who set owner = owner")
				got = id
			}
			if err != nil || got != id {
				t.Fatalf("round %d: %s read %q, %v", i, id, got, err)
			}
		}
	})
}

// Trap 5: what refuses to run behind another statement.
func TestCommandsOutsideTransactions(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		a := tenants(t, dsn, 2)
		db, ctx := open(t, dsn, 1), as(t, "t1")
		for _, text := range []string{"create index concurrently who_owner on who (owner)", "vacuum who", "reindex table concurrently who"} {
			if _, err := db.ExecContext(ctx, text); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if got, err := owner(as(t, "t0"), db); err != nil || got != "t0" {
				t.Fatalf("afterwards: %q, %v", got, err)
			}
		}
		var schema string
		if err := a.QueryRow("select schemaname from pg_indexes where indexname = 'who_owner'").Scan(&schema); err != nil || schema != "t1" {
			t.Fatalf("the index is in %q, %v", schema, err)
		}
	})
}

// Trap 6: tenants at different versions, and a change under a cached plan.
func TestTenantsOfDifferentShape(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		a := tenants(t, dsn, 2)
		if _, err := a.Exec("alter table t1.who add column extra text"); err != nil {
			t.Fatal(err)
		}
		db := open(t, dsn, 1)
		columns := func(ctx context.Context) (int, error) {
			rows, err := db.QueryContext(ctx, "select * from who where id = $1", 1)
			if err != nil {
				return 0, err
			}
			defer rows.Close()
			names, err := rows.Columns()
			return len(names), errors.Join(err, rows.Close())
		}
		for i := range 40 {
			id, want := fmt.Sprintf("t%d", i%2), 2+i%2
			ctx := as(t, id)
			if i >= 20 {
				ctx = context.WithValue(ctx, versionKey{}, int64(1+i%2))
			}
			if got, err := columns(ctx); err != nil || got != want {
				t.Fatalf("round %d: %s has %d columns, %v", i, id, got, err)
			}
		}
	})
}

func TestErrorPositionIsTheClients(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 1)
		db, ctx := open(t, dsn, 1), as(t, "t0")
		const text = "update who set nonsense = 1"
		check := func(err error) {
			t.Helper()
			var pg *pgconn.PgError
			if !errors.As(err, &pg) || int(pg.Position) != strings.Index(text, "nonsense")+1 {
				t.Fatalf("%+v", err)
			}
		}
		_, err := db.ExecContext(ctx, text) // simple
		check(err)
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = tx.ExecContext(ctx, text) // simple, with BEGIN
		check(err)
		if err := tx.Commit(); err == nil {
			t.Fatal("a failed transaction was committed")
		}
		if got, err := owner(ctx, db); err != nil || got != "t0" {
			t.Fatalf("afterwards: %q, %v", got, err)
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

func TestCopyAndBatchThroughPgx(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 2)
		db := open(t, dsn, 1)
		for i := range 4 {
			id := fmt.Sprintf("t%d", i%2)
			ctx := as(t, id)
			raw(t, db, ctx, func(c *pgx.Conn) error {
				n, err := c.CopyFrom(ctx, pgx.Identifier{"who"}, []string{"id", "owner"},
					pgx.CopyFromRows([][]any{{10 + i, id}, {20 + i, id}}))
				if err != nil || n != 2 {
					return fmt.Errorf("copied %d: %w", n, err)
				}
				b := &pgx.Batch{}
				b.Queue("update who set owner = owner where id = $1", 1)
				b.Queue("select owner from who where id = $1", 10+i)
				br := c.SendBatch(ctx, b)
				defer br.Close()
				if _, err := br.Exec(); err != nil {
					return err
				}
				var got string
				if err := br.QueryRow().Scan(&got); err != nil || got != id {
					return fmt.Errorf("batch read %q: %w", got, err)
				}
				return br.Close()
			})
			raw(t, db, ctx, func(c *pgx.Conn) error {
				if _, err := c.Exec(t.Context(), "select 1"); !errors.Is(err, tenant.ErrNone) {
					return fmt.Errorf("raw pgx without a tenant: %w", err)
				}
				return nil
			})
		}
	})
}

func raw(t *testing.T, db *sql.DB, ctx context.Context, f func(*pgx.Conn) error) {
	t.Helper()
	c, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Raw(func(dc any) error { return f(dc.(*Conn).Conn()) }); err != nil {
		t.Fatal(err)
	}
}

func TestPreparedStatementServesEveryTenant(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 3)
		db := open(t, dsn, 2)
		st, err := db.PrepareContext(as(t, "t0"), "select owner from who where id = $1")
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		for i := range 12 {
			id := fmt.Sprintf("t%d", i%3)
			var got string
			if err := st.QueryRowContext(as(t, id), 1).Scan(&got); err != nil || got != id {
				t.Fatalf("%s read %q, %v", id, got, err)
			}
		}
	})
}

func TestTemporaryTableStaysWithItsMaker(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 2)
		db := open(t, dsn, 1)
		if _, err := db.ExecContext(as(t, "t0"), "create temp table secret as select 42 as answer"); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := db.QueryRowContext(as(t, "t1"), "select answer from secret").Scan(&n); !isCode(err, "42P01") {
			t.Fatalf("t1 read %d, %v", n, err)
		}
	})
}
