package pgscope

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// A wire that thinks its statements gone, where they are there, finds out and goes on.
func TestOwnStatementIsThereAlready(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 2)
		db := open(t, dsn, 1)
		for _, id := range []string{"t0", "t1", "t0", "t1", "t0"} {
			ctx := as(t, id)
			conn, err := db.Conn(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := owner(ctx, conn); err != nil || got != id {
				t.Errorf("%s: %q, %v", id, got, err)
			}
			err = conn.Raw(func(dc any) error {
				w := dc.(*Conn).wire
				w.mu.Lock()
				w.plain, w.timed = kept{}, kept{}
				w.mu.Unlock()
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		}
	})
}

// What a text deallocates by stealth is found out statement by statement: the fence
// that was prepared since is not taken for gone with the scope's.
func TestDeallocatedByStealth(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		tenants(t, dsn, 2)
		db := open(t, dsn, 1)
		for i, id := range []string{"t0", "t0", "t1", "t1", "t0"} {
			ctx := as(t, id)
			conn, err := db.Conn(ctx)
			if err != nil {
				t.Fatal(err)
			}
			var got string // pgx itself keeps no statement here
			err = conn.QueryRowContext(ctx, "select owner from who", pgx.QueryExecModeExec).Scan(&got)
			if err != nil || got != id {
				t.Errorf("statement %d, of %s: %q, %v", i, id, got, err)
			}
			if i == 1 { // the scope's was prepared; the fence's comes with t1
				if _, err := conn.ExecContext(ctx, "do $$ begin execute 'deallocate all'; end $$"); err != nil {
					t.Fatal(err)
				}
			}
			err = conn.Raw(func(dc any) error {
				w := dc.(*Conn).wire
				w.mu.Lock()
				defer w.mu.Unlock()
				if i == 3 && !w.timed.fence { // t1 has timeouts
					t.Error("the fence is thought gone")
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		}
	})
}
