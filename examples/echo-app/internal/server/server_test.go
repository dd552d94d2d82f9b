package server_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/server"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10 s for %s", what)
		}
	}
}

func rid() string { return "test-" + rand.Text() }

func (c client) askWithID(id, path string) *httptest.ResponseRecorder {
	c.t.Helper()
	r, w := httptest.NewRequestWithContext(c.t.Context(), http.MethodGet, path, nil), httptest.NewRecorder()
	r.Header.Set("X-Tenant-ID", string(c.id))
	r.Header.Set("X-Request-Id", id)
	desk.srv.ServeHTTP(w, r)
	return w
}

func TestTenantsOfRequests(t *testing.T) {
	t.Parallel()
	if w := bare(t, "/api/orders"); w.Code != 400 || !strings.Contains(w.Body.String(), "tenant_missing") {
		t.Errorf("no tenant: %d %s", w.Code, w.Body)
	}
	c := newTenant(t, "shard-1")
	client{t, "nobody"}.ask("GET", "/api/orders", "", 404)
	client{t, `a"; drop schema`}.ask("GET", "/api/orders", "", 400)
	if err := desk.reg.Suspend(t.Context(), c.id); err != nil {
		t.Fatal(err)
	}
	if p := c.ask("GET", "/api/orders", "", 403); p["code"] != "tenant_suspended" {
		t.Errorf("suspended: %v", p)
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	c, mine := newTenant(t, "shard-1"), rid()
	if got := c.askWithID(mine, "/api/orders").Header().Get("X-Request-Id"); got != mine {
		t.Errorf("sent %q, got %q", mine, got)
	}
	for _, bad := range []string{"", "a b", "a\"b", strings.Repeat("x", 65), "ä"} {
		if got := c.askWithID(bad, "/api/orders").Header().Get("X-Request-Id"); got == bad || len(got) < 20 {
			t.Errorf("sent %q, got %q", bad, got)
		}
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	c, id := newTenant(t, "shard-2"), rid()
	c.askWithID(id, "/api/customers/7?secret=xyzzy")
	found := desk.log.records(t, id)
	if len(found) != 1 {
		t.Fatalf("%d records: %v", len(found), found)
	}
	want := object{
		"msg": "request", "method": "GET", "path": "/api/customers/7", "route": "/api/customers/:id", "status": 404.0,
		"tenant": string(c.id), "db_statements": 1.0, "request_id": id,
	}
	for k, want := range want {
		if found[0][k] != want {
			t.Errorf("%s is %v, want %v", k, found[0][k], want)
		}
	}
	if n := len(desk.log.records(t, "xyzzy")); n != 0 {
		t.Error("the query string was logged")
	}
	long := rid()
	c.askWithID(long, "/"+strings.Repeat("y", 5000))
	if n := len(fmt.Sprint(desk.log.records(t, long))); n > 1000 {
		t.Errorf("a long path makes a record of %d bytes", n)
	}
}

func TestMetricsHaveBoundedLabels(t *testing.T) {
	t.Parallel()
	c := newTenant(t, "shard-1")
	newTenant(t, "shard-2").get("/api/products")
	c.get("/api/products")
	c.ask("POST", "/api/products", `{"sku": "S", "name": "x", "price_cents": 1, "stock": 1}`, 201)
	bare(t, "/no/such/path")
	c.do("BREW", "/api/products", "")
	client{t, "nobody-asked"}.do("GET", "/api/products", "")
	text := bare(t, "/metrics").Body.String()
	for _, want := range []string{
		`http_request_duration_seconds_count{method="GET",route="/api/products",status="200"}`,
		`http_request_duration_seconds_count{method="GET",route="none",status="404"}`,
		`http_request_duration_seconds_count{method="other",`,
		`gormtenancy_statement_duration_seconds_count{kind="write",role="primary",shard="shard-1"}`,
		`gormtenancy_tenant_database_seconds_total{tenant="test-`,
		`gormtenancy_pool_connections{node="primary",shard="shard-1",state="idle"}`,
		`gormtenancy_pool_waits_total{node="replica-0",shard="shard-2"} `,
		`gormtenancy_pool_retired_total{node="primary",reason="age",shard="shard-2"} 0`,
		`gormtenancy_limit_allowed_total{limit="requests_per_second"} `,
		`go_goroutines `,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s", want)
		}
	}
	for _, no := range []string{"no/such/path", "BREW", "nobody-asked"} {
		if strings.Contains(text, no) {
			t.Errorf("a client can write %q into the metrics", no)
		}
	}
}

// The request's ID leads from a slow statement to the access log, for those who ask
// for OpenMetrics.
func TestExemplars(t *testing.T) {
	t.Parallel()
	c, id := newTenant(t, "shard-1"), rid()
	c.askWithID(id, "/api/products")
	r, w := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil), httptest.NewRecorder()
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	desk.srv.ServeHTTP(w, r)
	if text := w.Body.String(); !strings.Contains(text, `# {trace_id="`) || !strings.HasSuffix(text, "# EOF\n") {
		t.Errorf("no exemplars in %s", text)
	}
}

// What a tenant asks for over its limit is answered before the database hears of it.
func TestRequestLimit(t *testing.T) {
	t.Parallel()
	c := newTenant(t, "shard-2")
	if err := desk.reg.SetLimits(t.Context(), c.id, json.RawMessage(`{"requests_per_second": 0.01, "request_burst": 2}`)); err != nil {
		t.Fatal(err)
	}
	var w *httptest.ResponseRecorder
	for deadline := time.Now().Add(30 * time.Second); w == nil || w.Code == 200; w = c.do("GET", "/api/products", "") {
		if time.Now().After(deadline) {
			t.Fatal("it is not limited")
		}
	}
	h := w.Header()
	if w.Code != 429 || h.Get("RateLimit-Policy") != `"default";q=2;w=200` || !strings.HasPrefix(h.Get("RateLimit"), `"default";r=0;`) || h.Get("Retry-After") == "" {
		t.Errorf("%d %s %v", w.Code, w.Body, h)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/healthz", "/readyz"} {
		if w := bare(t, path); w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	reg, err := registry.Open(t.Context(), registry.Config{DSN: desk.cluster.Control.DSN})
	if err != nil {
		t.Fatal(err)
	}
	reg.Close()
	srv, w := another(server.Config{Registry: reg}), httptest.NewRecorder()
	srv.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
	if want := `{"control_plane":"unavailable","primary":"ok"}`; w.Code != 503 || strings.TrimSpace(w.Body.String()) != want {
		t.Errorf("without a control plane: %d %s, want %s", w.Code, w.Body, want)
	}
}

func TestIndexListsTenants(t *testing.T) {
	t.Parallel()
	c := newTenant(t, "shard-2")
	w := bare(t, "/")
	row := regexp.MustCompile(`<td>` + string(c.id) + `</td><td>shard-2</td>`)
	if w.Code != 200 || !row.MatchString(w.Body.String()) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Time may run out while the tenant is looked up, which is not remembered yet,
// or in a statement. Both are a 503 that says what to do.
func TestRequestTimeout(t *testing.T) {
	t.Parallel()
	c, srv := newTenant(t, "shard-1"), another(server.Config{RequestTimeout: time.Nanosecond})
	refused := func() string {
		t.Helper()
		w := c.doAt(srv, "GET", "/api/orders", "")
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "try again") {
			t.Errorf("%d %v %s, want 503", w.Code, w.Header(), w.Body)
		}
		return w.Body.String()
	}
	refused() // middleware's choice of words
	// The news that the tenant was made may come late and make it forgotten again.
	for range 100 {
		c.get("/api/orders")
		if strings.Contains(refused(), `"code":"timeout"`) {
			return
		}
	}
	t.Error("a hundred times the tenant was not known")
}

// A failure of the database is a 500 that keeps its cause to the log.
func TestFailuresKeepTheirCause(t *testing.T) {
	t.Parallel()
	c, id := newTenant(t, "shard-1"), rid()
	ctx := tenant.NewContext(t.Context(), c.id)
	if err := desk.db.WithContext(ctx).Exec("DROP TABLE order_lines").Error; err != nil {
		t.Fatal(err)
	}
	w := c.askWithID(id, "/api/reports/sales")
	if w.Code != 500 || strings.Contains(w.Body.String(), "order_lines") || !strings.Contains(w.Body.String(), `"code":"internal"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	found := false
	for _, r := range desk.log.records(t, id) {
		found = found || r["msg"] == "request failed" && strings.Contains(fmt.Sprint(r["cause"]), "order_lines")
	}
	if !found {
		t.Error("the cause is not in the log")
	}
}

// A request that is under way when the end comes is answered; the next
// connection is refused.
func TestShutdownDrains(t *testing.T) {
	t.Parallel()
	c := newTenant(t, "shard-1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	srv, done := another(server.Config{}), make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l) }()

	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"sku": "S", "name": "x", "price_cents": 1, "stock": 1}`
	fmt.Fprintf(conn, "POST /api/products HTTP/1.1\r\nHost: x\r\nX-Tenant-ID: %s\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", c.id, len(body))
	answer := bufio.NewReader(conn)
	// The handler reads the body now.
	if line, err := answer.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := answer.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cancel()
	eventually(t, "the listener's end", func() bool {
		other, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			other.Close()
		}
		return err != nil
	})
	select {
	case err := <-done:
		t.Fatalf("the server ended with a request under way: %v", err)
	default:
	}
	io.WriteString(conn, body)
	res, err := http.ReadResponse(answer, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 201 {
		t.Errorf("status %d", res.StatusCode)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if w := c.doAt(srv, "GET", "/readyz", ""); w.Code != 503 || !strings.Contains(w.Body.String(), `"server":"draining"`) {
		t.Errorf("/readyz at the end: %d %s", w.Code, w.Body)
	}
}

// A request that does not end is cut off, and Serve says so.
func TestShutdownIsBounded(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := another(server.Config{ShutdownTimeout: 20 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /api/products HTTP/1.1\r\nHost: x\r\nX-Tenant-ID: %s\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n", newTenant(t, "shard-1").id)
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Serve returned %v", err)
	}
}
