package middleware

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func get(e *echo.Echo, target, id string) *httptest.ResponseRecorder {
	r, w := httptest.NewRequest(http.MethodGet, target, nil), httptest.NewRecorder()
	if id != "" {
		r.Header.Set("X-Tenant-ID", id)
	}
	e.ServeHTTP(w, r)
	return w
}

// An application with its own error pages gets the error, and its own media
// type.
func TestTenantLeavesRenderingToTheApp(t *testing.T) {
	t.Parallel()
	e := echo.New()
	e.Use(Tenant(headerOrHost(town())))
	e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		var he *echo.HTTPError
		var p *Problem
		if !errors.As(err, &he) || !errors.As(err, &p) || !errors.Is(err, tenant.ErrSuspended) {
			t.Errorf("error %#v", err)
			return
		}
		if he.Code != p.Status || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("code %d, problem %d, text %q", he.Code, p.Status, err)
		}
		// A look at the document in a log must not change the page's type.
		if _, err := json.Marshal(he.Message); err != nil {
			t.Error(err)
		}
		_ = c.HTML(he.Code, "<p>"+p.Code)
	}
	w := get(e, "/", "hooli")
	if w.Code != http.StatusForbidden || w.Body.String() != "<p>tenant_suspended" || w.Header().Get("Content-Type") != echo.MIMETextHTMLCharsetUTF8 {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestTenantAnswersHEAD(t *testing.T) {
	t.Parallel()
	for form := range forms {
		r := httptest.NewRequest(http.MethodHead, "/", nil)
		a := serve(form, headerOrHost(town()), r)
		if a.Code != http.StatusBadRequest || a.ran {
			t.Errorf("%s: %d, ran %v", form, a.Code, a.ran)
		}
	}
}

func TestEchoClaim(t *testing.T) {
	t.Parallel()
	cfg := headerOrHost(town())
	cfg.From = append(cfg.From, EchoClaim("org", func(c echo.Context) (string, bool, error) {
		id, ok := c.Get("org").(string)
		return id, ok, nil
	}))
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Set("org", "acme")
			return next(c)
		}
	}, Tenant(cfg))
	e.GET("/", func(c echo.Context) error {
		id, err := tenant.FromContext(c.Request().Context())
		if err != nil {
			return err
		}
		return c.String(http.StatusOK, string(id))
	})
	if w := get(e, "/", ""); w.Body.String() != "acme" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := get(e, "/", "globex"); w.Code != http.StatusBadRequest {
		t.Errorf("another tenant's header: %d %s", w.Code, w.Body)
	}
}

func TestPathParamUnderEcho(t *testing.T) {
	t.Parallel()
	e := echo.New()
	e.Use(Tenant(Config{Registry: town(), Logger: quiet, From: []Source{PathParam("tenant")}}))
	e.GET("/t/:tenant/orders", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })
	tests := map[string]int{
		"/t/acme/orders":       204,
		"/t/nobody/orders":     404,
		"/t/%61cme/orders":     400,
		"/t/..%2facme/orders":  400,
		"/t/acme%20/orders":    400,
		"/t/hooli/orders":      403,
		"/elsewhere":           400,
		"/t/acme/orders/extra": 400, // no such route, so no parameter
	}
	for target, want := range tests {
		if w := get(e, target, ""); w.Code != want {
			t.Errorf("%s: %d %s, want %d", target, w.Code, w.Body, want)
		}
	}
}

func TestErrorHandler(t *testing.T) {
	t.Parallel()
	for _, tt := range statementErrors {
		t.Run(tt.err.Error(), func(t *testing.T) {
			t.Parallel()
			e := echo.New()
			e.HTTPErrorHandler = ErrorHandler(nil)
			e.GET("/", func(echo.Context) error { return tt.err })
			w := get(e, "/", "")
			if w.Code != tt.status {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tt.status)
			}
			isProblem := w.Header().Get("Content-Type") == contentType && strings.Contains(w.Body.String(), tt.code)
			if isProblem != (tt.code != "") {
				t.Errorf("answered %v %s, want code %q", w.Header(), w.Body, tt.code)
			}
		})
	}
}

func TestErrorHandlerPassesOn(t *testing.T) {
	t.Parallel()
	decided := echo.NewHTTPError(http.StatusConflict, "busy").SetInternal(tenant.ErrSuspended)
	var got error
	handle := ErrorHandler(func(err error, _ echo.Context) { got = err })
	c := echo.New().NewContext(httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder())
	if handle(decided, c); got != error(decided) {
		t.Errorf("a decided error became %v", got)
	}
	if handle(tenant.ErrSuspended, c); got == tenant.ErrSuspended {
		t.Error("ErrSuspended was not turned into a refusal")
	}
	c.Response().Committed = true
	if handle(tenant.ErrSuspended, c); got != tenant.ErrSuspended {
		t.Errorf("after the response: %v", got)
	}
}
