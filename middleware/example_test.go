package middleware_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/labstack/echo/v4"

	"github.com/gormtenancy/gormtenancy/middleware"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// list is a registry with the tenants of the examples. Applications use
// a *registry.Registry.
type list map[tenant.ID]tenant.State

func (l list) Lookup(_ context.Context, id tenant.ID) (tenant.Tenant, error) {
	if state, ok := l[id]; ok {
		return tenant.Tenant{ID: id, State: state}, nil
	}
	return tenant.Tenant{}, tenant.ErrUnknown
}

var reg = list{"acme": tenant.StateActive, "hooli": tenant.StateSuspended}

// ask sends a request to a handler and prints the answer.
func ask(h http.Handler, target, id string) {
	r, w := httptest.NewRequest(http.MethodGet, target, nil), httptest.NewRecorder()
	if id != "" {
		r.Header.Set("X-Tenant-ID", id)
	}
	h.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Body)
	fmt.Printf("%d %s\n", w.Code, body)
}

func ExampleTenant() {
	e := echo.New()
	e.Use(middleware.Tenant(middleware.Config{
		Registry: reg,
		From:     []middleware.Source{middleware.Header("X-Tenant-ID"), middleware.Subdomain("example.com")},
		Logger:   slog.New(slog.DiscardHandler),
	}))
	e.GET("/", func(c echo.Context) error {
		// What db.WithContext(c.Request().Context()) would run as.
		id, err := tenant.FromContext(c.Request().Context())
		if err != nil {
			return err
		}
		return c.String(http.StatusOK, "hello "+string(id)+"\n")
	})

	ask(e, "http://acme.example.com/", "")
	ask(e, "http://example.com/", "hooli")
	ask(e, "http://acme.example.com/", "hooli")
	// Output:
	// 200 hello acme
	//
	// 403 {"type":"about:blank","title":"Forbidden","status":403,"detail":"this tenant is suspended","code":"tenant_suspended"}
	//
	// 400 {"type":"about:blank","title":"Bad Request","status":400,"detail":"sources disagree: header X-Tenant-ID says \"hooli\", subdomain of example.com says \"acme\": name one tenant","code":"tenant_conflict"}
}

func ExampleHTTP() {
	tenants := middleware.HTTP(middleware.Config{
		Registry: reg,
		From:     []middleware.Source{middleware.Path("/t/")},
		Logger:   slog.New(slog.DiscardHandler),
	})
	h := tenants(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := tenant.FromContext(r.Context())
		fmt.Fprintf(w, "hello %s\n", id)
	}))

	ask(h, "/t/acme/orders", "")
	ask(h, "/t/globex/orders", "")
	ask(h, "/t/%2e%2e/orders", "")
	// Output:
	// 200 hello acme
	//
	// 404 {"type":"about:blank","title":"Not Found","status":404,"detail":"no tenant \"globex\"","code":"tenant_unknown"}
	//
	// 400 {"type":"about:blank","title":"Bad Request","status":400,"detail":"path /t/: invalid tenant ID \"%2e%2e\": only a-z, 0-9, '-' and '_' are allowed","code":"tenant_invalid"}
}

func ExampleErrorHandler() {
	e := echo.New()
	e.HTTPErrorHandler = middleware.ErrorHandler(e.HTTPErrorHandler)
	e.GET("/", func(echo.Context) error {
		// As a statement would fail whose tenant was suspended meanwhile.
		return fmt.Errorf("list orders: %w", tenant.ErrSuspended)
	})
	ask(e, "/", "")
	// Output:
	// 403 {"type":"about:blank","title":"Forbidden","status":403,"detail":"this tenant is suspended","code":"tenant_suspended"}
}
