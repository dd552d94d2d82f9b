package pgscope

import "testing"

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
				w.prepared, w.prepFence = false, false
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
