// Package badinput sends hostile tenant IDs down every road of a whole
// application, and looks on the wire for what reached the database.
package badinput

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/middleware"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
	"github.com/gormtenancy/gormtenancy/tests/hostile"
	"github.com/gormtenancy/gormtenancy/tests/wirecount"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, goleak.Find)) }

const attacks = 10_000

type user struct{ ID int64 }

func TestHostileIDsReachNoDatabase(t *testing.T) {
	t.Parallel()
	proxy, dsn, err := wirecount.Through(context.WithoutCancel(t.Context()), pgtest.Any(t).Database(t), wirecount.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	// So that it does not look for new shards by itself meanwhile.
	reg, err := registry.Open(t.Context(), registry.Config{DSN: dsn, HomeShard: "default", TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reg.Close)
	plugin := tenantplugin.New(tenantplugin.WithRegistry(reg))
	if err := db.Use(plugin); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plugin.Close() })
	var log bytes.Buffer
	routes := map[string]http.Handler{}
	for name, source := range map[string]middleware.Source{
		"header": middleware.Header("X-Tenant-ID"), "host": middleware.Subdomain("example.com"), "path": middleware.Path("/t/"),
	} {
		routes[name] = application(db, plugin, source, slog.New(slog.NewJSONHandler(&log, nil)))
	}

	// The registry's listener reads the shards once more when it is connected.
	settled(t, func() bool {
		texts := strings.Join(proxy.Statements(), "\n")
		_, after, listens := strings.Cut(texts, "LISTEN")
		return listens && strings.Contains(after, ".shards")
	})
	before := len(proxy.Statements())
	for _, id := range hostile.IDs(1, attacks) {
		for name, app := range routes {
			rec := httptest.NewRecorder()
			app.ServeHTTP(rec, request(name, id))
			if rec.Code != http.StatusBadRequest && rec.Code != http.StatusNotFound {
				t.Fatalf("%s %q: status %d", name, id, rec.Code)
			}
		}
		api(t, db, plugin, id)
	}
	// A hostile ID may arrive as a harmless unknown one (a host's case is
	// folded): such are looked up in the control plane, by parameter. Before
	// that, pgx's pool asks a connection that rested whether it still lives.
	for _, text := range proxy.Statements()[before:] {
		if text == "-- ping" {
			continue
		}
		if !strings.Contains(text, "tenants") || strings.Contains(text, "user") {
			t.Fatalf("a statement reached the database: %s", text)
		}
	}
	for i, line := range strings.Split(strings.TrimRight(log.String(), "\n"), "\n") {
		if line != "" && (line[0] != '{' || line[len(line)-1] != '}') {
			t.Fatalf("log line %d is broken: %q", i, line)
		}
	}
}

func settled(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the registry did not come to rest within 20 s")
		}
	}
}

func application(db *gorm.DB, p *tenantplugin.Plugin, from middleware.Source, log *slog.Logger) http.Handler {
	e := echo.New()
	e.Use(middleware.Tenant(middleware.Config{Registry: p.Registry(), From: []middleware.Source{from}, Logger: log}))
	e.Any("/*", func(c echo.Context) error {
		return db.WithContext(c.Request().Context()).First(&user{}).Error
	})
	return e
}

func request(road, id string) *http.Request {
	r := &http.Request{
		Method: http.MethodGet, Host: "example.com", Header: http.Header{}, URL: &url.URL{Path: "/"},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}
	switch road {
	case "header":
		r.Header["X-Tenant-Id"] = []string{id}
	case "host":
		r.Host = id + ".example.com"
	case "path":
		r.URL = &url.URL{Path: "/t/" + id + "/x"}
	}
	return r.WithContext(context.Background())
}

// api passes the ID to the library's own functions.
func api(t *testing.T, db *gorm.DB, p *tenantplugin.Plugin, id string) {
	t.Helper()
	ctx := tenant.NewContext(t.Context(), tenant.ID(id))
	_, parse := tenant.ParseID(id)
	_, create := p.Registry().Create(t.Context(), tenant.Spec{ID: tenant.ID(id)})
	_, lookup := p.Registry().Lookup(t.Context(), tenant.ID(id))
	for name, err := range map[string]error{
		"ParseID": parse, "Create": create, "Lookup": lookup,
		"First": db.WithContext(ctx).First(&user{}).Error,
		"Exec":  db.WithContext(ctx).Exec("select 1").Error,
		"Begin": db.WithContext(ctx).Begin().Error,
	} {
		if !errors.Is(err, tenant.ErrInvalidID) {
			t.Fatalf("%s(%q): %v", name, id, err)
		}
		if strings.ContainsAny(err.Error(), "\n\r\x00") {
			t.Fatalf("%s(%q): the error breaks a line: %q", name, id, err)
		}
	}
}
