package pgscope

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// shredder stands between a connection and its server. What it passes on is
// cut into pieces of any size, and pieces are put together, in both directions.
type shredder struct {
	ln   net.Listener
	dial func(context.Context) (net.Conn, error)
	wg   sync.WaitGroup
}

// shred leads conf's connections through a shredder until the test ends.
func shred(t *testing.T, conf *pgconn.Config) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	network, address := pgconn.NetworkAddress(conf.Host, conf.Port)
	s := &shredder{ln: ln, dial: func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	s.wg.Go(func() { s.accept(t.Context()) })
	conf.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", ln.Addr().String())
		return sipping{c}, err
	}
	t.Cleanup(func() {
		ln.Close()
		s.wg.Wait()
	})
}

func (s *shredder) accept(ctx context.Context) {
	for {
		client, err := s.ln.Accept()
		if err != nil {
			return
		}
		server, err := s.dial(ctx)
		if err != nil {
			client.Close()
			continue
		}
		s.wg.Go(func() { pump(client, server) })
		s.wg.Go(func() { pump(server, client) })
	}
}

// pump copies until an end is closed, and closes both.
func pump(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf[:1+rand.N(len(buf))])
		if err == nil && rand.N(4) == 0 { // what comes within a moment goes along
			if err = from.SetReadDeadline(time.Now().Add(200 * time.Microsecond)); err != nil {
				return
			}
			more, _ := from.Read(buf[n:])
			n += more
			err = from.SetReadDeadline(time.Time{})
		}
		for rest := buf[:n]; len(rest) > 0; {
			piece := min(len(rest), 1+rand.N(1+rand.N(4096)))
			if _, err := to.Write(rest[:piece]); err != nil {
				return
			}
			rest = rest[piece:]
		}
		if err != nil {
			return
		}
	}
}

// sipping is a net.Conn that reads little at a time.
type sipping struct{ net.Conn }

func (c sipping) Read(p []byte) (int, error) {
	return c.Conn.Read(p[:1+rand.N(1+rand.N(len(p)))])
}
