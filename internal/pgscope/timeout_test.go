package pgscope

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

type limitKey struct{}

// limited makes the statements of ctx have timeouts.
func limited(ctx context.Context, statement, idle int32) context.Context {
	return context.WithValue(ctx, limitKey{}, [2]int32{statement, idle})
}

func byLimit(ctx context.Context) (Scope, error) {
	s, err := byTenant(ctx)
	limits, _ := ctx.Value(limitKey{}).([2]int32)
	s.StatementTimeout, s.IdleTimeout = limits[0], limits[1]
	return s, err
}

func openLimited(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	return open(t, dsn, 1, func(c *Config) { c.Scope = byLimit })
}

const askTimeouts = "select current_setting('statement_timeout') || ' ' || current_setting('idle_in_transaction_session_timeout')"

type queryer interface {
	QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row
}

func wantTimeouts(ctx context.Context, t *testing.T, db queryer, want string) {
	t.Helper()
	var got string
	if err := db.QueryRowContext(ctx, askTimeouts).Scan(&got); err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

// Timeouts are there for the statement or the transaction, whatever the protocol, and
// gone behind it; those that are not set stay the session's own.
func TestTimeouts(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 2)
		for name, mode := range modes {
			t.Run(name, func(t *testing.T) {
				db := openLimited(t, withMode(dsn, mode)+"&statement_timeout=11000&idle_in_transaction_session_timeout=13000")
				for range 3 {
					ctx := as(t, "t0")
					wantTimeouts(ctx, t, db, "11s 13s")
					wantTimeouts(limited(ctx, 1500, 2500), t, db, "1500ms 2500ms")
					wantTimeouts(limited(ctx, 1500, 0), t, db, "1500ms 13s")
					wantTimeouts(limited(as(t, "t1"), 0, 2500), t, db, "11s 2500ms") // behind a fence
					tx, err := db.BeginTx(limited(ctx, 1500, 2500), nil)
					if err != nil {
						t.Fatal(err)
					}
					wantTimeouts(limited(ctx, 1500, 2500), t, tx, "1500ms 2500ms")
					wantTimeouts(limited(ctx, 1500, 2500), t, tx, "1500ms 2500ms")
					// The application's own word counts from there on.
					if _, err := tx.ExecContext(limited(ctx, 1500, 2500), "set local statement_timeout to 7000"); err != nil {
						t.Fatal(err)
					}
					wantTimeouts(limited(ctx, 1500, 2500), t, tx, "7s 2500ms")
					if err := tx.Commit(); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	})
}

// A statement that runs for longer is cancelled, the first of a transaction too, and
// the connection serves on.
func TestStatementTimeoutCancels(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 1)
		for name, mode := range modes {
			t.Run(name, func(t *testing.T) {
				db := openLimited(t, withMode(dsn, mode))
				ctx := limited(as(t, "t0"), 50, 0)
				var pg *pgconn.PgError
				_, err := db.ExecContext(ctx, "select pg_sleep(60)")
				if !errors.As(err, &pg) || pg.Code != "57014" {
					t.Errorf("without arguments: %v", err)
				}
				_, err = db.ExecContext(ctx, "select pg_sleep($1)", 60)
				if !errors.As(err, &pg) || pg.Code != "57014" {
					t.Errorf("with arguments: %v", err)
				}
				tx, err := db.BeginTx(ctx, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, err = tx.ExecContext(ctx, "select pg_sleep($1)", 60)
				if !errors.As(err, &pg) || pg.Code != "57014" {
					t.Errorf("in a transaction: %v", err)
				}
				_ = tx.Rollback()
				wantTimeouts(as(t, "t0"), t, db, "0 0")
			})
		}
	})
}

// Who waits for longer within a transaction loses it.
func TestIdleTimeoutEndsTheTransaction(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 1)
		db := openLimited(t, dsn)
		ctx := limited(as(t, "t0"), 0, 50)
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		var pid int
		if err := tx.QueryRowContext(ctx, "select pg_backend_pid()").Scan(&pid); err != nil {
			t.Fatal(err)
		}
		watch := openLimited(t, dsn)
		for n := 1; n > 0; { // until the test's own end
			if err := watch.QueryRowContext(as(t, "t0"), "select count(*) from pg_stat_activity where pid = $1", pid).Scan(&n); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err == nil {
			t.Error("it was committed")
		}
		wantTimeouts(as(t, "t0"), t, db, "0 0")
	})
}

// A round trip is what was sent in one go: the scope costs none.
func TestRoundTrips(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 2)
		db := openLimited(t, dsn)
		trips := func(do func(conn *sql.Conn)) uint64 {
			conn, err := db.Conn(as(t, "t0"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			read := func() (n uint64) {
				_ = conn.Raw(func(dc any) error { n = dc.(*Conn).RoundTrips(); return nil })
				return n
			}
			do(conn) // prepares
			before := read()
			do(conn)
			return read() - before
		}
		ctx := limited(as(t, "t0"), 1000, 1000)
		if n := trips(func(conn *sql.Conn) { wantTimeouts(ctx, t, conn, "1s 1s") }); n != 1 {
			t.Errorf("a statement: %d", n)
		}
		n := trips(func(conn *sql.Conn) {
			tx, err := conn.BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			wantTimeouts(ctx, t, tx, "1s 1s")
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		})
		if n != 2 {
			t.Errorf("a transaction of one statement: %d", n)
		}
	})
}
