package pgscope

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

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

func TestCopyAndBatchThroughPgx(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 2)
		db := open(t, dsn, 1)
		for i := range 4 {
			id := fmt.Sprintf("t%d", i%2)
			ctx := as(t, id)
			raw(ctx, t, db, func(c *pgx.Conn) error {
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
			raw(ctx, t, db, func(c *pgx.Conn) error {
				if _, err := c.Exec(t.Context(), "select 1"); !errors.Is(err, tenant.ErrNone) {
					return fmt.Errorf("raw pgx without a tenant: %w", err)
				}
				return nil
			})
		}
	})
}

func raw(ctx context.Context, t *testing.T, db *sql.DB, f func(*pgx.Conn) error) {
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
