package middleware

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// forms are the two ways to serve a request; every decision is tested in both.
var forms = map[string]func(Config, http.HandlerFunc) http.Handler{
	"http": func(cfg Config, h http.HandlerFunc) http.Handler { return HTTP(cfg)(h) },
	"echo": func(cfg Config, h http.HandlerFunc) http.Handler {
		e := echo.New()
		e.Use(Tenant(cfg))
		e.Any("/*", echo.WrapHandler(h))
		return e
	},
}

// answer is what came back, and which tenant the handler ran as.
type answer struct {
	*httptest.ResponseRecorder
	ran  bool
	as   tenant.ID
	doc  map[string]any
	logs []string
}

func serve(form string, cfg Config, r *http.Request) answer {
	a := answer{ResponseRecorder: httptest.NewRecorder()}
	var logs bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	forms[form](cfg, func(w http.ResponseWriter, r *http.Request) {
		a.ran = true
		a.as, _ = tenant.FromContext(r.Context())
		w.WriteHeader(http.StatusNoContent)
	}).ServeHTTP(a.ResponseRecorder, r)
	_ = json.Unmarshal(a.Body.Bytes(), &a.doc)
	a.logs = strings.Split(strings.TrimSuffix(logs.String(), "\n"), "\n")
	return a
}

func TestDecision(t *testing.T) {
	t.Parallel()
	unreachable := func(d *directory) { d.fail = fmt.Errorf("%w: %w", tenant.ErrUnavailable, errRegistry) }
	strange := func(d *directory) { d.fail = errRegistry }
	tests := []struct {
		name, header, host string
		change             func(*directory)
		as                 tenant.ID
		status             int
		code, detail       string
		retry              string
		cause              error
	}{
		{name: "header", header: "acme", host: "example.com", as: "acme"},
		{name: "host", host: "acme.example.com", as: "acme"},
		{name: "both agree", header: "acme", host: "ACME.example.com:80", as: "acme"},
		{name: "moving serves", header: "globex", as: "globex"},
		{name: "none", status: 400, code: CodeTenantMissing, detail: "send it as header X-Tenant-ID, or subdomain of example.com", cause: tenant.ErrNone},
		{
			name: "disagree", header: "globex", host: "acme.example.com", status: 400, code: CodeTenantConflict,
			detail: `header X-Tenant-ID says "globex", subdomain of example.com says "acme"`, cause: errConflict,
		},
		{name: "disagree by case", header: "ACME", host: "acme.example.com", status: 400, code: CodeTenantConflict},
		{
			name: "disagree hostile", header: "a\r\n\u202e\"" + strings.Repeat("b", 1000), host: "acme.example.com", status: 400, code: CodeTenantConflict,
			detail: `says "a\r\n\u202e\"` + strings.Repeat("b", 57) + `"..., subdomain`,
		},
		{name: "invalid", header: "acme'; --", status: 400, code: CodeTenantInvalid, detail: `header X-Tenant-ID: invalid tenant ID "acme'; --"`, cause: tenant.ErrInvalidID},
		{name: "two labels", host: "a.acme.example.com", status: 400, code: CodeTenantInvalid},
		{name: "punycode", host: "xn--acme.example.com", status: 400, code: CodeTenantInvalid},
		{name: "reserved", header: "public", status: 400, code: CodeTenantInvalid},
		{name: "unknown", header: "nobody", status: 404, code: CodeTenantUnknown, detail: `no tenant "nobody"`, cause: tenant.ErrUnknown},
		{name: "archived", header: "umbrella", status: 404, code: CodeTenantUnknown, detail: `no tenant "umbrella"`, cause: tenant.ErrNotActive},
		{name: "suspended", header: "hooli", status: 403, code: CodeTenantSuspended, cause: tenant.ErrSuspended},
		{name: "provisioning", header: "initech", status: 503, code: CodeTenantNotReady, retry: "1", cause: tenant.ErrNotActive},
		{name: "unavailable", header: "acme", change: unreachable, status: 503, code: CodeRegistryUnavailable, retry: "1", cause: errRegistry},
		{name: "strange failure", header: "acme", change: strange, status: 503, code: CodeRegistryUnavailable, retry: "1", cause: errRegistry},
	}
	for _, tt := range tests {
		for form := range forms {
			t.Run(form+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				d := town()
				if tt.change != nil {
					tt.change(d)
				}
				r := httptest.NewRequest(http.MethodGet, "/orders", nil)
				r.Host = tt.host
				if tt.header != "" {
					r.Header["X-Tenant-Id"] = []string{tt.header}
				}
				a := serve(form, headerOrHost(d), r)
				if got := a.Header().Values("Vary"); len(got) != 1 || got[0] != "X-Tenant-Id" {
					t.Errorf("Vary: %q", got)
				}
				if tt.status == 0 {
					checkServed(t, a, tt.as)
					return
				}
				checkRefused(t, a, tt.status, tt.code)
				if detail, _ := a.doc["detail"].(string); !strings.Contains(detail, tt.detail) {
					t.Errorf("detail %q lacks %q", detail, tt.detail)
				}
				if got := a.Header().Get("Retry-After"); got != tt.retry {
					t.Errorf("Retry-After %q, want %q", got, tt.retry)
				}
				if strings.Contains(a.Body.String(), "10.0.0.7") {
					t.Error("the body tells the cause")
				}
				if tt.cause != nil && !strings.Contains(a.logs[0], strings.Trim(fmt.Sprintf("%q", tt.cause), `"`)) {
					t.Errorf("log %q lacks the cause %q", a.logs[0], tt.cause)
				}
			})
		}
	}
}

func checkServed(t *testing.T, a answer, as tenant.ID) {
	t.Helper()
	if !a.ran || a.as != as || a.Code != http.StatusNoContent {
		t.Errorf("handler ran: %v as %q, status %d, body %s; want %q", a.ran, a.as, a.Code, a.Body, as)
	}
	if a.logs[0] != "" {
		t.Errorf("logged %q", a.logs)
	}
}

func checkRefused(t *testing.T, a answer, status int, code string) {
	t.Helper()
	if a.ran {
		t.Error("the handler ran")
	}
	if a.Code != status || a.doc["code"] != code {
		t.Errorf("status %d, body %s; want %d %s", a.Code, a.Body, status, code)
	}
	if a.doc["status"] != float64(status) || a.doc["type"] != "about:blank" || a.doc["title"] != http.StatusText(status) || a.doc["detail"] == "" {
		t.Errorf("problem document %s", a.Body)
	}
	h := a.Header()
	if h.Get("Content-Type") != contentType || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", h)
	}
	level := "level=INFO"
	if status >= 500 {
		level = "level=ERROR"
	}
	if len(a.logs) != 1 || !strings.Contains(a.logs[0], level) || !strings.Contains(a.logs[0], "code="+code) {
		t.Errorf("logged %q, want one record of %s, %s", a.logs, level, code)
	}
}

func TestHeaderIsNotTrustedUnlisted(t *testing.T) {
	t.Parallel()
	for form := range forms {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = "acme.example.com"
		for _, h := range []string{"X-Tenant-ID", "X-Forwarded-Host", "Forwarded", "X-Original-Host"} {
			r.Header.Set(h, "globex.example.com")
		}
		a := serve(form, Config{Registry: town(), From: []Source{Subdomain("example.com")}}, r)
		checkServed(t, a, "acme")
		if v := a.Header().Values("Vary"); len(v) != 0 {
			t.Errorf("%s: Vary %q", form, v)
		}
	}
}

func TestOptional(t *testing.T) {
	t.Parallel()
	tests := []struct {
		header, host string
		as           tenant.ID
		code         string
	}{
		{"", "example.com", "", ""},
		{"acme", "", "acme", ""},
		{"", "acme.example.com.:1x", "", CodeTenantInvalid},
		{"ACME", "", "", CodeTenantInvalid},
		{"globex", "acme.example.com", "", CodeTenantConflict},
	}
	for _, tt := range tests {
		for form := range forms {
			t.Run(form+"/"+tt.header+"@"+tt.host, func(t *testing.T) {
				t.Parallel()
				cfg := headerOrHost(town())
				cfg.Optional = true
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Host = tt.host
				if tt.header != "" {
					r.Header.Set("X-Tenant-ID", tt.header)
				}
				a := serve(form, cfg, r)
				if tt.code != "" {
					checkRefused(t, a, http.StatusBadRequest, tt.code)
					return
				}
				checkServed(t, a, tt.as)
			})
		}
	}
}

func TestSkipper(t *testing.T) {
	t.Parallel()
	for form := range forms {
		d := town()
		cfg := headerOrHost(d)
		cfg.Skipper = func(r *http.Request) bool { return r.URL.Path == "/healthz" }
		r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
		r.Header.Set("X-Tenant-ID", "'")
		checkServed(t, serve(form, cfg, r), "")
		if len(d.asked) != 0 {
			t.Errorf("%s: registry was asked for %q", form, d.asked)
		}
		r.URL.Path = "/orders"
		checkRefused(t, serve(form, cfg, r), http.StatusBadRequest, CodeTenantInvalid)
	}
}

func TestOnError(t *testing.T) {
	t.Parallel()
	for form := range forms {
		cfg := headerOrHost(town())
		cfg.OnError = func(w http.ResponseWriter, r *http.Request, p *Problem) {
			p.Type, p.Title, p.Instance = "https://example.com/problems/"+p.Code, "No such tenant", r.URL.Path
			p.ServeHTTP(w, r)
		}
		r := httptest.NewRequest(http.MethodGet, "/orders", nil)
		r.Header.Set("X-Tenant-ID", "nobody")
		a := serve(form, cfg, r)
		want := `{"type":"https://example.com/problems/tenant_unknown","title":"No such tenant","status":404,` +
			`"detail":"no tenant \"nobody\"","instance":"/orders","code":"tenant_unknown"}` + "\n"
		if a.Code != http.StatusNotFound || a.Body.String() != want || a.ran {
			t.Errorf("%s: %d %s", form, a.Code, a.Body)
		}
	}
}

// A source of the application's own decides what its errors mean.
func TestSourceErrors(t *testing.T) {
	t.Parallel()
	teapot := &Problem{Status: http.StatusTeapot, Code: "teapot", Detail: "short and stout"}
	tests := []struct {
		name   string
		err    error
		status int
		code   string
	}{
		{"unknown error", errors.New("token\nof secret"), 400, CodeTenantInvalid},
		{"problem", teapot, 418, "teapot"},
		{"problem without a status", &Problem{Code: "blank", Detail: "x"}, 500, "blank"},
		{"wrapped problem", fmt.Errorf("read token: %w", teapot), 418, "teapot"},
		{"unavailable", fmt.Errorf("key server: %w", tenant.ErrUnavailable), 503, CodeRegistryUnavailable},
		{"deadline", fmt.Errorf("key server: %w", context.DeadlineExceeded), 503, CodeTimeout},
	}
	for _, tt := range tests {
		for form := range forms {
			t.Run(form+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				cfg := headerOrHost(town())
				cfg.From = append(cfg.From, Claim("org", func(*http.Request) (string, bool, error) { return "", false, tt.err }))
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Header.Set("X-Tenant-ID", "acme")
				a := serve(form, cfg, r)
				checkRefused(t, a, tt.status, tt.code)
				if strings.Contains(a.Body.String(), "secret") {
					t.Errorf("body tells the source's error: %s", a.Body)
				}
			})
		}
	}
}

// A claim among the sources holds a client to its own tenant.
func TestClaimMustAgree(t *testing.T) {
	t.Parallel()
	for form := range forms {
		cfg := headerOrHost(town())
		cfg.From = append(cfg.From, Claim("org", func(*http.Request) (string, bool, error) { return "acme", true, nil }))
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		checkServed(t, serve(form, cfg, r), "acme")
		r.Header.Set("X-Tenant-ID", "globex")
		checkRefused(t, serve(form, cfg, r), http.StatusBadRequest, CodeTenantConflict)
	}
}

func TestAdmittedStates(t *testing.T) {
	t.Parallel()
	for form := range forms {
		r := httptest.NewRequest(http.MethodGet, "/export", nil)
		r.Header.Set("X-Tenant-ID", "hooli")
		r = r.WithContext(tenant.Admit(r.Context(), tenant.StateSuspended))
		checkServed(t, serve(form, headerOrHost(town()), r), "hooli")
	}
}

func TestGoneClientIsNoError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := town()
	d.fail = fmt.Errorf("%w: %w", tenant.ErrUnavailable, context.Canceled)
	r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)
	r.Header.Set("X-Tenant-ID", "acme")
	if a := serve("http", headerOrHost(d), r); !strings.Contains(a.logs[0], "level=DEBUG") {
		t.Errorf("logged %q", a.logs)
	}
}
