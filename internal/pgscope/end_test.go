package pgscope

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// When End returns, the server has no such session any more: one that is idle, one whose
// statement its context ended, and one that was closed already.
func TestEndWaitsForTheServer(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 1)
		conf, err := pgx.ParseConfig(dsn)
		if err != nil {
			t.Fatal(err)
		}
		connector, err := NewConnector(Config{Conn: conf, Scope: byTenant})
		if err != nil {
			t.Fatal(err)
		}
		watch, err := pgx.ConnectConfig(t.Context(), conf)
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Close(context.WithoutCancel(t.Context()))
		for what, before := range map[string]func(*Conn){
			"idle": func(*Conn) {},
			"ended by its context": func(c *Conn) {
				ctx, cancel := context.WithTimeout(as(t, "t0"), 20*time.Millisecond)
				defer cancel()
				if _, err := c.ExecContext(ctx, "select pg_sleep(20)", nil); err == nil {
					t.Error("the statement went on")
				}
			},
			"closed": func(c *Conn) { c.End(time.Minute); c.Close() },
		} {
			dc, err := connector.Connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c := dc.(*Conn)
			pid := c.std.Conn().PgConn().PID()
			before(c)
			c.End(time.Minute)
			var there bool
			err = watch.QueryRow(t.Context(), "select exists (select from pg_stat_activity where pid = $1)", pid).Scan(&there)
			if err != nil || there {
				t.Errorf("%s: the server has the session still (%v), error %v", what, there, err)
			}
			c.Close()
		}
	})
}
