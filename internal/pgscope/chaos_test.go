package pgscope

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

var chaosFor = flag.Duration("pgscope.chaos", 1500*time.Millisecond, "how long the test of trap 8 runs on each server")

// deed does one thing on a connection as the tenant of ctx. Its error is the
// deed's own affair; what it returns is a finding.
type deed func(ctx context.Context, c *sql.Conn, id string) error

var deeds = map[string]deed{
	"select": func(ctx context.Context, c *sql.Conn, id string) error { return sees(ctx, c, id) },
	"simple select": func(ctx context.Context, c *sql.Conn, id string) error {
		return sees(ctx, c, id, pgx.QueryExecModeSimpleProtocol)
	},
	"unnamed": func(ctx context.Context, c *sql.Conn, id string) error {
		return sees(ctx, c, id, pgx.QueryExecModeExec)
	},
	"exec":           try("update who set owner = owner"),
	"exec with args": try("update who set owner = owner where id = $1", 1),
	"error":          try("select 1 / (id - id) from who"),
	"late error":     try("select 1000 / (500 - n) from generate_series(1, 1000) n where $1 = 1", 1),
	"syntax error":   try("selct 1"),
	"syntax, args":   try("selct $1", 1),
	"no such table":  try("select * from nonsense where id = $1", 1),
	"notices":        try("do $$ begin for i in 1..20 loop raise notice 'n %', i; end loop; end $$"),
	"many at once":   try("select 1; select owner from who; select 2"),
	"many, one bad":  try("select 1; select 1 / 0; select 2"),
	"empty":          try(""),
	"no scope": func(_ context.Context, c *sql.Conn, _ string) error {
		if _, err := c.ExecContext(context.Background(), "select 1"); !errors.Is(err, tenant.ErrNone) {
			return fmt.Errorf("without a tenant: %w", err)
		}
		return nil
	},
	"large result":    large(1 << 30),
	"large, given up": large(3),
	"cancelled": func(ctx context.Context, c *sql.Conn, _ string) error {
		ctx, cancel := context.WithTimeout(ctx, time.Duration(rand.N(3000))*time.Microsecond)
		defer cancel()
		_, _ = c.ExecContext(ctx, "select count(*) from generate_series(1, 200000), who")
		return nil
	},
	"copy in":        copyIn(false),
	"copy in, bad":   copyIn(true),
	"copy out":       try("copy who to stdout"),
	"copy out, bad":  try("copy (select 1 / (id - id) from who) to stdout"),
	"batch":          batch("select owner from who where id = $1"),
	"batch, bad":     batch("select 1 / (owner::text = owner)::int / ($1 - $1) from who"),
	"batch, unknown": batch("select nonsense from who where id = $1"),
	"transaction":    transaction(),
	"rolled back":    transaction("rollback"),
	"savepoints":     transaction("savepoint a", "update who set owner = 'nobody'", "rollback to savepoint a"),
	"saved":          transaction("savepoint a", "selct", "rollback to savepoint a"),
	"aborted":        transaction("select 1 / 0", "abort"),
	"foreign":        transaction("foreign"),
	"raw commit":     transaction("commit; select 1", "ended"),
	"set local":      transaction("set local lock_timeout = '2s'"),
}

// try runs a text whose outcome does not matter.
func try(text string, args ...any) deed {
	return func(ctx context.Context, c *sql.Conn, _ string) error {
		_, _ = c.ExecContext(ctx, text, args...)
		return nil
	}
}

// sees checks whose row the tenant id reads. An error is none: it is for the
// probe to judge whether the connection still works.
func sees(ctx context.Context, q interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, id string, args ...any,
) error {
	if got, err := owner(ctx, q, args...); err == nil && got != id {
		return fmt.Errorf("%s read the row of %s", id, got)
	}
	return nil
}

// large reads a result of about half a megabyte, up to some row.
func large(until int) deed {
	return func(ctx context.Context, c *sql.Conn, id string) error {
		rows, err := c.QueryContext(ctx, "select n, owner, repeat('x', n) from generate_series(1, 1000) n, who where id = $1", 1)
		if err != nil {
			return nil
		}
		defer rows.Close()
		for i := 1; i <= until && rows.Next(); i++ {
			var n int
			var got, pad string
			if err := rows.Scan(&n, &got, &pad); err != nil || n != i || got != id || len(pad) != n {
				return fmt.Errorf("row %d of %s is %d of %s, %d bytes, %v", i, id, n, got, len(pad), err)
			}
		}
		return nil
	}
}

func onPgx(c *sql.Conn, f func(*pgx.Conn) error) error {
	return c.Raw(func(dc any) error { return f(dc.(*Conn).Conn()) })
}

func copyIn(bad bool) deed {
	return func(ctx context.Context, c *sql.Conn, id string) error {
		return onPgx(c, func(c *pgx.Conn) error {
			n := 0
			_, _ = c.CopyFrom(ctx, pgx.Identifier{"heap"}, []string{"owner"}, pgx.CopyFromFunc(func() ([]any, error) {
				if n++; n > 300 {
					if bad {
						return nil, io.ErrUnexpectedEOF
					}
					return nil, nil
				}
				return []any{id}, nil
			}))
			return nil
		})
	}
}

// batch runs text between statements that must tell the tenant's own row.
func batch(text string) deed {
	return func(ctx context.Context, c *sql.Conn, id string) error {
		return onPgx(c, func(c *pgx.Conn) error {
			b := &pgx.Batch{}
			b.Queue("update who set owner = owner where id = $1", 1)
			b.Queue("select owner from who where id = $1", 1)
			b.Queue(text, 1)
			b.Queue("select owner from who where id = $1", 1)
			res := c.SendBatch(ctx, b)
			defer res.Close()
			if _, err := res.Exec(); err != nil {
				return nil
			}
			var got string
			if err := res.QueryRow().Scan(&got); err == nil && got != id {
				return fmt.Errorf("%s read the row of %s in a batch", id, got)
			}
			return nil
		})
	}
}

// transaction runs steps in a transaction, between reads of the tenant's row.
// Some steps are words for what is no text.
func transaction(steps ...string) deed {
	return func(ctx context.Context, c *sql.Conn, id string) error {
		tx, err := c.BeginTx(ctx, &sql.TxOptions{ReadOnly: rand.N(4) == 0})
		if err != nil {
			return nil
		}
		if rand.N(2) == 0 {
			if err := sees(ctx, tx, id); err != nil {
				return err
			}
		}
		for _, step := range steps {
			switch step {
			case "rollback":
				return errors.Join(sees(ctx, tx, id), ignore(tx.Rollback()))
			case "abort", "ended":
				if got, err := owner(ctx, tx); err == nil {
					return fmt.Errorf("%s: a statement read %s", step, got)
				}
			case "foreign":
				if got, err := owner(tenant.NewContext(ctx, tenant.ID(other(id))), tx); !errors.Is(err, tenant.ErrMismatch) {
					return fmt.Errorf("%s read %s in a transaction of %s, %v", other(id), got, id, err)
				}
			default:
				_, _ = tx.ExecContext(ctx, step)
			}
		}
		return errors.Join(sees(ctx, tx, id), ignore(tx.Commit()))
	}
}

func ignore(error) error { return nil }

func other(id string) string {
	if id == "t0" {
		return "t1"
	}
	return "t0"
}

// Trap 8: whatever happened on a connection, and however its messages were cut,
// it is in step afterwards or closed, and never tells one tenant's row to the other.
func TestInStepOrClosed(t *testing.T) {
	var names []string
	for name := range deeds {
		names = append(names, name)
	}
	onEach(t, func(t *testing.T, dsn string) {
		a := tenants(t, dsn, 2)
		for i := range 2 {
			if _, err := a.Exec(fmt.Sprintf("create table t%d.heap (owner text)", i)); err != nil {
				t.Fatal(err)
			}
		}
		for name, mode := range modes {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				db := open(t, withMode(dsn, mode), 1, func(c *Config) { shred(t, &c.Conn.Config) })
				done, closed := chaos(t, db, names)
				t.Logf("%d deeds, %d connections closed", done, closed)
				if closed > done/2 {
					t.Errorf("%d connections closed after %d deeds: that proves little", closed, done)
				}
			})
		}
	})
}

// chaos does deeds at random until the time is up, but a hundred at least.
func chaos(t *testing.T, db *sql.DB, names []string) (done, closed int) {
	var last []string
	end := time.Now().Add(*chaosFor)
	more := func() bool { return done < 100 || time.Now().Before(end) }
	for more() {
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for valid := true; valid && more(); done++ {
			id, name := fmt.Sprintf("t%d", rand.N(2)), names[rand.N(len(names))]
			last = append(last[max(0, len(last)-5):], id+" "+name)
			err := deeds[name](as(t, id), c, id)
			if err == nil {
				valid, err = inStep(t, c, id)
			}
			if err != nil {
				t.Fatalf("%v; the last deeds: %s", err, strings.Join(last, ", "))
			}
		}
		c.Close()
		closed++
	}
	return done, closed
}

// inStep reports whether the connection is for further use, and returns an
// error if that is not true.
func inStep(t *testing.T, c *sql.Conn, id string) (valid bool, err error) {
	if err := c.Raw(func(dc any) error { valid = dc.(*Conn).IsValid(); return nil }); err != nil || !valid {
		return false, nil // database/sql has closed it, or will
	}
	for _, id := range []string{other(id), id} {
		if got, err := owner(as(t, id), c); err != nil || got != id {
			return true, fmt.Errorf("probe: %s read %q, %v", id, got, err)
		}
	}
	return true, nil
}
