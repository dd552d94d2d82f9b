package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/seed"
	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/server"
	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// desk is the application on two shards with a replica each, shared by all
// tests; each test makes tenants of its own.
var desk struct {
	cluster *pgcluster.Cluster
	reg     *registry.Registry
	db      *server.Database
	metrics *server.Metrics
	log     logBuffer
	srv     *server.Server
}

func TestMain(m *testing.M) {
	code := 1
	if err := start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if code == 0 {
		// GORM never stops the goroutine of a prepared statement store.
		err := goleak.Find(goleak.IgnoreTopFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func start() (err error) {
	ctx := context.Background()
	if desk.cluster, err = pgcluster.Start(ctx, pgcluster.Config{Shards: 2, Replicas: 1, InMemory: true}); err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(&desk.log, nil))
	if desk.reg, err = registry.Open(ctx, registry.Config{DSN: desk.cluster.Control.DSN, Logger: log}); err != nil {
		return err
	}
	for _, s := range desk.cluster.Shards() {
		shard := tenant.Shard{Name: s.Name, Primary: s.Primary.DSN, Replicas: []string{s.Replicas[0].DSN}}
		if err := desk.reg.AddShard(ctx, shard); err != nil {
			return err
		}
	}
	desk.metrics = server.NewMetrics()
	desk.db, err = server.OpenDatabase(ctx, desk.cluster.Shards()[0].Primary.DSN, desk.reg, desk.metrics, log)
	if err != nil {
		return err
	}
	desk.srv = server.New(server.Config{DB: desk.db.DB, Registry: desk.reg, Limiter: desk.db.Governor, Metrics: desk.metrics, Logger: log})
	return nil
}

// another returns a second server on the same data, which logs nothing.
func another(cfg server.Config) *server.Server {
	cfg.DB, cfg.Metrics, cfg.Logger = desk.db.DB, server.NewMetrics(), slog.New(slog.DiscardHandler)
	if cfg.Registry == nil {
		cfg.Registry = desk.reg
	}
	return server.New(cfg)
}

func stop() error {
	var err error
	if desk.db != nil {
		err = desk.db.Close()
	}
	if desk.reg != nil {
		desk.reg.Close()
	}
	if desk.cluster != nil {
		err = errors.Join(err, desk.cluster.Stop(context.Background()))
	}
	return err
}

var tenants atomic.Int64

// newTenant makes a tenant without data on one of the shards.
func newTenant(t *testing.T, shard string) client {
	t.Helper()
	id := tenant.ID(fmt.Sprintf("test-%d", tenants.Add(1)))
	if _, err := desk.reg.Create(t.Context(), tenant.Spec{ID: id, Shard: shard}); err != nil {
		t.Fatal(err)
	}
	return client{t, id}
}

// seeded makes a tenant with the sample data that like would have.
func seeded(t *testing.T, shard string, like tenant.ID) client {
	t.Helper()
	c := newTenant(t, shard)
	if err := seed.Fill(tenant.NewContext(t.Context(), c.id), desk.db.DB, like); err != nil {
		t.Fatal(err)
	}
	return c
}

// client asks the application as one tenant.
type client struct {
	t  *testing.T
	id tenant.ID
}

// object is what an answer holds.
type object = map[string]any

// ask sends a request, wants the status, and returns the answer.
func (c client) ask(method, path, body string, want int) object {
	c.t.Helper()
	w := c.do(method, path, body)
	if w.Code != want {
		c.t.Fatalf("%s %s as %s: %d %s, want %d", method, path, c.id, w.Code, w.Body, want)
	}
	answer := object{}
	if w.Body.Len() == 0 {
		return answer
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		c.t.Fatalf("%s %s: %v: %s", method, path, err, w.Body)
	}
	if ct := w.Header().Get("Content-Type"); want >= 400 && ct != "application/problem+json" {
		c.t.Errorf("%s %s: a %d of type %q", method, path, want, ct)
	}
	return answer
}

func (c client) get(path string) object { c.t.Helper(); return c.ask("GET", path, "", 200) }

func (c client) do(method, path, body string) *httptest.ResponseRecorder {
	return c.doAt(desk.srv, method, path, body)
}

func (c client) doAt(srv *server.Server, method, path, body string) *httptest.ResponseRecorder {
	r, w := httptest.NewRequestWithContext(c.t.Context(), method, path, strings.NewReader(body)), httptest.NewRecorder()
	r.Header.Set("X-Tenant-ID", string(c.id))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	srv.ServeHTTP(w, r)
	return w
}

// bare sends a request without a tenant.
func bare(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	desk.srv.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w
}

// items returns a list's rows.
func items(o object) []object {
	var all []object
	for _, i := range o["items"].([]any) {
		all = append(all, i.(object))
	}
	return all
}

// logBuffer keeps the log.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// records returns the records that contain text.
func (l *logBuffer) records(t *testing.T, text string) []object {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []object
	d := json.NewDecoder(strings.NewReader(l.b.String()))
	for {
		var o object
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		if b, _ := json.Marshal(o); strings.Contains(string(b), text) {
			found = append(found, o)
		}
	}
}
