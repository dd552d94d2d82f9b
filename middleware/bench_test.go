package middleware

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// instant is a registry that costs nothing.
type instant struct{}

func (instant) Lookup(_ context.Context, id tenant.ID) (tenant.Tenant, error) {
	return tenant.Tenant{ID: id, State: tenant.StateActive}, nil
}

// sink is a response that is reused.
type sink struct{ header http.Header }

func (s sink) Header() http.Header         { return s.header }
func (s sink) Write(b []byte) (int, error) { return len(b), nil }
func (s sink) WriteHeader(int)             {}

func hotRequest(source string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	switch source {
	case "header":
		r.Header.Set("X-Tenant-ID", "acme")
	case "host":
		r.Host = "acme.example.com:8080"
	}
	return r
}

// hotPaths serve one request of an active tenant, over and over.
func hotPaths() map[string]func() {
	paths := map[string]func(){}
	for _, source := range []string{"header", "host"} {
		w, r := sink{http.Header{}}, hotRequest(source)
		h := HTTP(headerOrHost(instant{}))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		paths["http/"+source] = func() {
			clear(w.header)
			h.ServeHTTP(w, r)
		}
		c := echo.New().NewContext(r, w)
		eh := Tenant(headerOrHost(instant{}))(func(echo.Context) error { return nil })
		paths["echo/"+source] = func() {
			clear(w.header)
			c.SetRequest(r)
			_ = eh(c)
		}
	}
	return paths
}

// A request costs four allocations: two for the context, one for the request
// that carries it, one for Vary.
func TestHotPathAllocs(t *testing.T) {
	for name, serve := range hotPaths() {
		if got := testing.AllocsPerRun(200, serve); got > 4 {
			t.Errorf("%s: %v allocations, want at most 4", name, got)
		}
	}
}

func BenchmarkTenant(b *testing.B) {
	for name, serve := range hotPaths() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				serve()
			}
		})
	}
}
