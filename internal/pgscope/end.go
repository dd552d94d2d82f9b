package pgscope

import (
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// End ends the session and waits until the server has done so too, at most for the
// given time: until then the server counts it. Close comes next.
func (c *Conn) End(within time.Duration) {
	if c.lost != nil {
		return
	}
	pc := c.std.Conn().PgConn()
	if pc.IsClosed() { // by a context that ended; pgx sees to it
		timer := time.NewTimer(within)
		defer timer.Stop()
		select {
		case <-pc.CleanupDone():
		case <-timer.C:
		}
		return
	}
	defer c.control()()
	if pc.IsBusy() || pc.Conn().SetDeadline(time.Now().Add(within)) != nil {
		return
	}
	pc.Frontend().Send(&pgproto3.Terminate{})
	if pc.Frontend().Flush() == nil {
		_, _ = io.Copy(io.Discard, pc.Conn()) // it ends with the server's process, or in time
	}
}
