package middleware

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
	"github.com/gormtenancy/gormtenancy/tests/hostile"
)

// carriers put an ID into the bytes of a request, as it stands. net/http's
// client would refuse to send most of them.
var carriers = map[string]func(id string) string{
	"header": func(id string) string { return "GET / HTTP/1.1\r\nHost: localhost\r\nX-Tenant-ID: " + id + "\r\n\r\n" },
	"host":   func(id string) string { return "GET / HTTP/1.1\r\nHost: " + id + ".example.com\r\n\r\n" },
	"path":   func(id string) string { return "GET /t/" + id + "/orders HTTP/1.1\r\nHost: localhost\r\n\r\n" },
	"target": func(id string) string { return "GET http://" + id + ".example.com/ HTTP/1.1\r\nHost: x\r\n\r\n" },
}

// TestHostileIDs sends 10,000 hostile IDs through every carrier and both
// forms, over TCP. Nobody gets in, the registry is never asked for what is no
// ID, and each log record is one line.
func TestHostileIDs(t *testing.T) {
	t.Parallel()
	n := 10_000
	if testing.Short() {
		n = 1_000
	}
	ids := hostile.IDs(2, n)
	for form := range forms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			d := &strictDirectory{}
			lines := &lineLog{}
			srv := startServer(t, form, Config{
				Registry: d, Logger: slog.New(lines),
				From: []Source{Header("X-Tenant-ID"), Subdomain("example.com"), Path("/t/")},
			})
			for name, carry := range carriers {
				attack(t, srv.Listener.Addr().String(), name, carry, ids)
			}
			srv.Close()
			d.check(t)
			lines.check(t)
		})
	}
}

func startServer(t *testing.T, form string, cfg Config) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(forms[form](cfg, func(_ http.ResponseWriter, r *http.Request) {
		id, err := tenant.FromContext(r.Context())
		t.Errorf("a hostile request reached the handler as %q, %v", id, err)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

func attack(t *testing.T, addr, name string, carry func(string) string, ids []string) {
	t.Helper()
	const attackers = 4
	var wg sync.WaitGroup
	for i := range attackers {
		wg.Go(func() {
			a := &attacker{addr: addr}
			defer a.hangUp()
			for j := i; j < len(ids); j += attackers {
				statuses, err := a.send(carry(ids[j]))
				if err != nil {
					t.Errorf("%s %q: %v", name, ids[j], err)
				}
				for _, s := range statuses {
					if s != http.StatusBadRequest && s != http.StatusNotFound {
						t.Errorf("%s %q: status %d, want 400 or 404", name, ids[j], s)
					}
				}
			}
		})
	}
	wg.Wait()
}

// attacker holds a connection as long as the server lets it.
type attacker struct {
	addr string
	conn *net.TCPConn
	in   *bufio.Reader
}

func (a *attacker) dial() error {
	conn, err := net.Dial("tcp", a.addr)
	if err != nil {
		return err
	}
	a.conn = conn.(*net.TCPConn)
	a.in = bufio.NewReader(conn)
	// No TIME_WAIT: tens of thousands of them would use up the ports.
	return errors.Join(a.conn.SetLinger(0), a.conn.SetDeadline(time.Now().Add(time.Minute)))
}

func (a *attacker) hangUp() {
	if a.conn != nil {
		_ = a.conn.Close()
		a.conn = nil
	}
}

// send returns the statuses of all answers. What holds a line break may be
// several requests, or half of one: it gets a connection of its own, whose
// sending side is closed, and is read to the end.
func (a *attacker) send(request string) ([]int, error) {
	split := strings.Count(request, "\n") != strings.Count(request, "\r\n") || strings.Count(request, "\r\n") > wantBreaks(request)
	if split {
		a.hangUp()
	}
	if a.conn == nil {
		if err := a.dial(); err != nil {
			return nil, err
		}
	}
	// A server that has seen enough may close before all is written.
	_, _ = a.conn.Write([]byte(request))
	if split {
		_ = a.conn.CloseWrite()
		defer a.hangUp()
	}
	var statuses []int
	for {
		res, err := http.ReadResponse(a.in, nil)
		if split && len(statuses) > 0 && err != nil {
			return statuses, nil
		}
		if err != nil {
			a.hangUp()
			return statuses, err
		}
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		statuses = append(statuses, res.StatusCode)
		if res.Close || err != nil {
			a.hangUp()
			return statuses, err
		}
		if !split {
			return statuses, nil
		}
	}
}

// wantBreaks is the number of line breaks that a request has without the ID's.
func wantBreaks(request string) int {
	if strings.HasPrefix(request, "GET / HTTP/1.1\r\nHost: localhost") {
		return 4
	}
	return 3
}

// strictDirectory knows nobody, and notices when it is asked for what is no ID.
type strictDirectory struct {
	mu    sync.Mutex // guards bad
	bad   []tenant.ID
	asked atomic.Int64
}

func (d *strictDirectory) Lookup(_ context.Context, id tenant.ID) (tenant.Tenant, error) {
	d.asked.Add(1)
	if _, err := tenant.ParseID(string(id)); err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.bad = append(d.bad, id)
	}
	return tenant.Tenant{}, tenant.ErrUnknown
}

func (d *strictDirectory) check(t *testing.T) {
	t.Helper()
	for _, id := range d.bad {
		t.Errorf("the registry was asked for %q", id)
	}
	// Some are valid once HTTP has trimmed or cut them: so it is in use.
	if d.asked.Load() == 0 {
		t.Error("the registry was never asked")
	}
}

// lineLog is a slog.Handler that counts records and writes each one as JSON
// and as text.
type lineLog struct {
	mu         sync.Mutex // guards the rest
	records    int
	json, text bytes.Buffer
}

func (l *lineLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *lineLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lineLog) WithGroup(string) slog.Handler            { return l }

func (l *lineLog) Handle(ctx context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records++
	return errors.Join(slog.NewJSONHandler(&l.json, nil).Handle(ctx, r), slog.NewTextHandler(&l.text, nil).Handle(ctx, r))
}

func (l *lineLog) check(t *testing.T) {
	t.Helper()
	if l.records == 0 {
		t.Fatal("nothing was logged")
	}
	for kind, out := range map[string]string{"json": l.json.String(), "text": l.text.String()} {
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if len(lines) != l.records {
			t.Errorf("%s: %d records, %d lines", kind, l.records, len(lines))
		}
		for _, line := range lines {
			if kind == "json" && !json.Valid([]byte(line)) || kind == "text" && !strings.HasPrefix(line, "time=") {
				t.Errorf("%s: broken line %q", kind, line)
			}
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%s: raw bytes in %q", kind, line)
			}
			if len(line) > 1000 {
				t.Errorf("%s: a line of %d bytes", kind, len(line))
			}
		}
	}
}
