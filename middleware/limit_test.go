package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// limiter answers always the same. It remembers for whom it was asked.
type limiter struct {
	decision quota.Decision
	err      error
	asked    []tenant.ID
}

func (l *limiter) Request(_ context.Context, t *tenant.Tenant) (quota.Decision, error) {
	l.asked = append(l.asked, t.ID)
	return l.decision, l.err
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	over := &quota.LimitError{Tenant: "acme", Limit: quota.LimitRequests, Value: 10, RetryAfter: 1100 * time.Millisecond}
	for _, tt := range []struct {
		name          string
		limiter       limiter
		status        int
		code          string
		policy, field string
		retry         string
	}{
		{"unlimited", limiter{decision: quota.Decision{Allowed: true}}, 204, "", "", "", ""},
		{
			"within",
			limiter{decision: quota.Decision{Allowed: true, Limit: 100, Window: 10 * time.Second, Remaining: 50, Reset: 29001 * time.Millisecond}},
			204, "", `"default";q=100;w=10`, `"default";r=50;t=30`, "",
		},
		{
			"over",
			limiter{quota.Decision{Limit: 100, Window: 10 * time.Second, Reset: 10 * time.Second}, over, nil},
			429, CodeTenantLimited, `"default";q=100;w=10`, `"default";r=0;t=10`, "2",
		},
		{"over, untyped", limiter{err: fmt.Errorf("x: %w", tenant.ErrLimited)}, 429, CodeTenantLimited, "", "", "1"},
		{"unknown", limiter{err: quota.ErrNotStarted}, 503, CodeRegistryUnavailable, "", "", "1"},
	} {
		for form := range forms {
			t.Run(form+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				cfg, l := headerOrHost(town()), tt.limiter
				cfg.Limiter = &l
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Header.Set("X-Tenant-ID", "acme")
				a := serve(form, cfg, r)
				code, _ := a.doc["code"].(string)
				if a.Code != tt.status || code != tt.code || a.ran != (tt.status == 204) {
					t.Errorf("status %d, ran %t, body %s", a.Code, a.ran, a.Body)
				}
				h := a.Header()
				if p, f, after := h.Get("RateLimit-Policy"), h.Get("RateLimit"), h.Get("Retry-After"); p != tt.policy || f != tt.field || after != tt.retry {
					t.Errorf("RateLimit-Policy %q, RateLimit %q, Retry-After %q", p, f, after)
				}
				if tt.status == 429 && (a.doc["status"] != 429.0 || h.Get("Content-Type") != contentType || !strings.Contains(a.logs[0], "level=DEBUG")) {
					t.Errorf("headers %v, body %s, log %q", h, a.Body, a.logs)
				}
				if len(l.asked) != 1 || l.asked[0] != "acme" {
					t.Errorf("asked for %q", l.asked)
				}
			})
		}
	}
}

// Who is not admitted costs no token, and neither does who has no tenant.
func TestLimiterIsAskedOfTheAdmitted(t *testing.T) {
	t.Parallel()
	for form := range forms {
		for _, id := range []string{"hooli", "nobody", "'", ""} {
			l := &limiter{}
			cfg := headerOrHost(town())
			cfg.Optional, cfg.Limiter = true, l
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Host = "example.com"
			if id != "" {
				r.Header.Set("X-Tenant-ID", id)
			}
			serve(form, cfg, r)
			if len(l.asked) != 0 {
				t.Errorf("%s: asked for %q", form, l.asked)
			}
		}
	}
}

// A handler's error is the same answer in both forms.
func TestLimitedInTheHandler(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err    error
		retry  string
		detail string
	}{
		{&quota.LimitError{Tenant: "acme", Limit: quota.LimitStatements, Value: 5, RetryAfter: time.Millisecond}, "1", "statements_per_second: try again"},
		{&quota.LimitError{Tenant: "acme", Limit: quota.LimitRows, Value: 5}, "", "rows_per_result"},
		{fmt.Errorf("%w: %w", &quota.LimitError{Limit: quota.LimitConcurrency, RetryAfter: 3 * time.Second}, context.DeadlineExceeded), "3", "concurrency"},
		{tenant.ErrLimited, "1", "slow down"},
	} {
		err := fmt.Errorf("find invoices: %w", tt.err)
		plain := httptest.NewRecorder()
		if p := ProblemFor(t.Context(), err); p != nil && errors.Is(p, tenant.ErrLimited) {
			p.ServeHTTP(plain, httptest.NewRequest(http.MethodGet, "/", nil))
		}
		e := echo.New()
		e.HTTPErrorHandler = ErrorHandler(nil)
		e.Use(Tenant(headerOrHost(town())))
		e.GET("/", func(echo.Context) error { return err })
		for form, w := range map[string]*httptest.ResponseRecorder{"http": plain, "echo": get(e, "/", "acme")} {
			body := w.Body.String()
			if w.Code != 429 || w.Header().Get("Retry-After") != tt.retry || !strings.Contains(body, tt.detail) || !strings.Contains(body, `"code":"tenant_limited"`) {
				t.Errorf("%s, %v: %d, %v, %s", form, tt.err, w.Code, w.Header(), body)
			}
		}
	}
}

var _ Limiter = (*quota.Governor)(nil)
