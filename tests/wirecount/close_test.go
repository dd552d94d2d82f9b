package wirecount_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tests/wirecount"
)

func TestCloseCutsWhatIsOpen(t *testing.T) {
	t.Parallel()
	for _, latency := range []time.Duration{0, 100 * time.Millisecond} {
		p, conn := through(t, wirecount.Options{Latency: latency})
		exec(t, conn, "select 1")
		p.Close()
		p.Close()
		if _, err := conn.Exec(t.Context(), "select 1"); err == nil {
			t.Error("a statement ran through a closed proxy")
		}
		if _, err := net.Dial("tcp", p.Addr()); err == nil {
			t.Error("a closed proxy still listens")
		}
	}
}

func TestEndOfContextCloses(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p, dsn, err := wirecount.Through(ctx, pgtest.Any(t).Database(t), wirecount.Options{})
	if err != nil {
		t.Fatal(err)
	}
	conn := connect(t, dsn)
	cancel()
	if _, err := conn.Exec(t.Context(), "select pg_sleep(60)"); err == nil {
		t.Error("a statement outlived the proxy's context")
	}
	p.Close()
}

// A client that hangs up ends its server connection, and the server's hanging
// up reaches the client with what the server said before.
func TestHangUpsAreHandedOn(t *testing.T) {
	t.Parallel()
	_, watch := through(t, wirecount.Options{})
	for _, latency := range []time.Duration{0, 100 * time.Millisecond} {
		p, conn := through(t, wirecount.Options{Latency: latency})
		pid := conn.PgConn().PID()
		if err := conn.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return !backend(t, watch, pid, "true") })
		if c := p.Count(); c.Frontend['X'] != 1 || c.RoundTrips != 0 {
			t.Errorf("%+v, want one Terminate and no round trip", c)
		}
		_, other := through(t, wirecount.Options{Latency: latency})
		_, err := other.Exec(t.Context(), "select pg_terminate_backend(pg_backend_pid())")
		var last *pgconn.PgError
		if !errors.As(err, &last) || last.Code != "57P01" || !other.IsClosed() {
			t.Errorf("error %v, want the server's admin_shutdown, and a closed connection", err)
		}
	}
}

// backend reports whether the server process pid exists and meets condition.
func backend(t *testing.T, conn *pgx.Conn, pid uint32, condition string) (found bool) {
	t.Helper()
	sql := "select exists(select from pg_stat_activity where pid = $1 and " + condition + ")"
	if err := conn.QueryRow(t.Context(), sql, pid).Scan(&found); err != nil {
		t.Fatal(err)
	}
	return found
}

// What is no PostgreSQL client, and a server that is not there, end in a
// hang-up.
func TestStrangersAreHungUpOn(t *testing.T) {
	t.Parallel()
	p, _ := through(t, wirecount.Options{})
	dead, err := wirecount.Start(t.Context(), "127.0.0.1:1", wirecount.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dead.Close)
	startup := "\x00\x00\x00\x08\x00\x03\x00\x00"
	for addr, hello := range map[string]string{p.Addr(): "GET / HTTP/1.1\r\n\r\n", dead.Addr(): startup} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, hello); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := c.Read(make([]byte, 1)); n != 0 || isTimeout(err) {
			t.Errorf("%q: %d bytes, error %v, want a hang-up", hello, n, err)
		}
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

func TestUnreadableDSN(t *testing.T) {
	t.Parallel()
	if _, _, err := wirecount.Through(t.Context(), "postgres://%zz", wirecount.Options{}); err == nil {
		t.Error("an unreadable DSN was taken")
	}
}
