package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
)

// patience is for a loaded machine.
const patience = 60 * time.Second

// screen is what a user would see.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// app is the command under way.
type app struct {
	t    *testing.T
	out  *screen
	done chan error
	base string // URL
	stop func()
}

var servingOn = regexp.MustCompile(`Serving on (http://[0-9.:]+)`)

// begin starts a command with start, and returns when it serves.
func begin(t *testing.T, start func(ctx context.Context, out io.Writer) error) *app {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	a := &app{t: t, out: &screen{}, done: make(chan error, 1), stop: cancel}
	go func() { a.done <- start(ctx, a.out) }()
	for deadline := time.Now().Add(patience); a.base == ""; time.Sleep(10 * time.Millisecond) {
		if m := servingOn.FindStringSubmatch(a.out.String()); m != nil {
			a.base = m[1]
		}
		select {
		case err := <-a.done:
			t.Fatalf("it ended: %v\n%s", err, a.out)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not serve:\n%s", a.out)
		}
	}
	t.Cleanup(a.end)
	return a
}

// command runs args in this process.
func command(args ...string) func(context.Context, io.Writer) error {
	return func(ctx context.Context, out io.Writer) error { return run(ctx, args, out) }
}

// end ends the command as Ctrl-C does. A second time does nothing.
func (a *app) end() {
	a.t.Helper()
	a.stop()
	select {
	case err, open := <-a.done:
		if open && err != nil {
			a.t.Errorf("it ended with %v\n%s", err, a.out)
		}
		if open {
			close(a.done)
		}
	case <-time.After(patience):
		a.t.Fatalf("it does not end:\n%s", a.out)
	}
}

// curl sends a request as a tenant, and wants status and text in the answer.
func (a *app) curl(id, request, body string, status int, want string) string {
	a.t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.base+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if id != "" {
		r.Header.Set("X-Tenant-ID", id)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Close = true
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	if res.StatusCode != status || !strings.Contains(string(answer), want) {
		a.t.Errorf("%s as %q: %d %s, want %d and %s", request, id, res.StatusCode, answer, status, want)
	}
	return string(answer)
}

// limited sends requests of a tenant of tier free until one is refused.
func (a *app) limited(id string) {
	a.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		r, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.base+"/api/products/1", nil)
		if err != nil {
			a.t.Fatal(err)
		}
		r.Header.Set("X-Tenant-ID", id)
		r.Close = true
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			a.t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == http.StatusTooManyRequests {
			if policy, left := res.Header.Get("RateLimit-Policy"), res.Header.Get("RateLimit"); policy != `"default";q=5;w=1` || !strings.HasPrefix(left, `"default";r=0;`) {
				a.t.Errorf("refused with %q and %q", policy, left)
			}
			return
		}
		if res.StatusCode != http.StatusOK || res.Header.Get("RateLimit") == "" || time.Now().After(deadline) {
			a.t.Fatalf("%d %v", res.StatusCode, res.Header)
		}
	}
}

const order = `{"customer_id": 1, "lines": [{"product_id": 1, "quantity": 2}]}`

// What the welcome and the README say, without and with data that is kept.
func TestDemo(t *testing.T) {
	t.Parallel()
	a := begin(t, command("demo"))
	a.curl("", "GET /readyz", "", 200, `"primary":"ok"`)
	a.curl("acme", "GET /api/products/1", "", 200, `"sku":"ACM-001"`)
	a.curl("globex", "GET /api/products/1", "", 200, `"sku":"GLX-001"`)
	a.curl("acme", "GET /api/whereami", "", 200, `"shard":"north"`)
	a.curl("globex", "GET /api/whereami", "", 200, `"shard":"south"`)
	a.curl("hooli", "GET /api/products?q=laptop", "", 200, "Laptop, pro")
	a.curl("initech", "GET /api/reports/sales?from=2026-01-01&to=2026-03-31", "", 200, `"month":"2026-03"`)
	a.curl("umbrella", "POST /api/orders", order, 201, `"id":301,`)
	a.curl("umbrella", "GET /api/orders/301", "", 200, `"sku":"UMB-001"`)
	a.curl("acme", "GET /api/orders/301", "", 404, "not_found")
	a.curl("", "GET /api/orders", "", 400, "tenant_missing")
	a.curl("nobody", "GET /api/orders", "", 404, "tenant_unknown")
	a.curl("vandelay", "GET /api/orders", "", 403, "tenant_suspended")
	a.limited("initech")
	metrics := a.curl("", "GET /metrics", "", 200, `gormtenancy_pool_connections{node="replica-0",shard="south"`)
	if !strings.Contains(metrics, `gormtenancy_tenant_database_seconds_total{tenant="umbrella"}`) {
		t.Errorf("the metrics lack a tenant:\n%s", metrics)
	}
	for _, want := range []string{"Ready after", "control  127.0.0.1:", "/api/orders'", "export GORMTENANCY_DSN='postgres://", "tenantctl tenant list", "initech' 'http://"} {
		if !strings.Contains(a.out.String(), want) {
			t.Errorf("the welcome lacks %q:\n%s", want, a.out)
		}
	}
	a.end()
	if !strings.HasSuffix(a.out.String(), "Nothing is left behind.\n") {
		t.Errorf("the end is:\n%s", a.out)
	}
	if res, err := http.Get(a.base); err == nil {
		res.Body.Close()
		t.Error("somebody serves still")
	}
}

// A demo that was killed leaves its data; the next one goes on with them, on
// other ports.
func TestDemoGoesOnAfterKill(t *testing.T) {
	t.Parallel()
	data := dataDir(t)
	killed := begin(t, func(ctx context.Context, out io.Writer) error {
		cmd := exec.CommandContext(ctx, os.Args[0], "demo", "--data", data) // killed with ctx
		cmd.Env, cmd.Stdout = append(os.Environ(), asCommand+"=1"), out
		err := cmd.Run()
		if ctx.Err() == nil {
			return fmt.Errorf("it ended by itself: %w", err)
		}
		return nil
	})
	killed.curl("acme", "POST /api/orders", order, 201, `"id":301,`)
	if err := run(t.Context(), []string{"demo", "--data", data}, io.Discard); err == nil || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("a second demo on the same data: %v", err)
	}
	killed.end()

	a := begin(t, command("demo", "--data", data))
	a.curl("acme", "GET /api/orders/301", "", 200, `"stock":39,`)
	a.curl("globex", "GET /api/orders/301", "", 404, "not_found")
	a.curl("acme", "POST /api/orders", order, 201, `"status":"placed"`)
	a.end()
	if _, err := os.Stat(filepath.Join(data, "shard-1", "data", "PG_VERSION")); err != nil {
		t.Errorf("the data is not kept: %v", err)
	}
	if left := processesIn(data); left != nil {
		t.Errorf("processes run still: %q", left)
	}
}

// dataDir returns a directory that root's servers can reach, too, unlike
// t.TempDir's.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "data-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// One database that exists already is control plane and only shard.
func TestServe(t *testing.T) {
	t.Parallel()
	cluster, err := pgcluster.Start(t.Context(), pgcluster.Config{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	a := begin(t, command("serve", "--dsn", cluster.Shards()[0].Primary.DSN, "--listen", "127.0.0.1:0", "--tenants", "acme,other"))
	a.curl("acme", "GET /api/products/1", "", 200, `"sku":"ACM-001"`)
	a.curl("other", "GET /api/whereami", "", 200, `"schema":"tenant_other"`)
	a.curl("other", "GET /api/whereami", "", 200, `"role":"primary"`)
	a.end()
}

// What is wrong with the arguments is said at once, and starts nothing.
func TestArguments(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"":                              "no command\nusage:",
		"dmeo":                          `unknown command "dmeo"`,
		"demo now":                      `unexpected argument "now"`,
		"demo --port x":                 `invalid value "x"`,
		"demo --port " + port:           "choose another port with --port",
		"demo --data " + foreign:        "holds thesis.tex, which is no demo's",
		"serve --dsn x --tenants a,B":   `invalid value "a,B"`,
		"serve --dsn x --listen :99999": "listen:",
	} {
		out := &screen{}
		err := run(t.Context(), strings.Fields(args), out)
		if err == nil || !strings.Contains(err.Error(), want) || out.String() != "" {
			t.Errorf("%q: %v, printed %q, want the error %s", args, err, out, want)
		}
	}
	for _, args := range []string{"help", "demo -h", "serve -h"} {
		out := &screen{}
		if err := run(t.Context(), strings.Fields(args), out); err != nil || out.String() == "" {
			t.Errorf("%q: %v, printed %q", args, err, out)
		}
	}
}

// A signal during the start is no failure, whatever was under way: here, the
// making of the first data directory.
func TestSignalDuringStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	data, done := dataDir(t), make(chan error, 1)
	go func() { done <- run(ctx, []string{"demo", "--data", data}, io.Discard) }()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(data, "shard-1")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not start")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("it ended with %v", err)
	}
}
