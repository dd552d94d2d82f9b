package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// statementErrors are what statements return, and how a request ends with it.
var statementErrors = []struct {
	err    error
	status int
	code   string // empty if the application has to answer
}{
	{fmt.Errorf("tenant x: %w", tenant.ErrSuspended), 403, CodeTenantSuspended},
	{fmt.Errorf("x: %w", tenant.ErrUnknown), 404, CodeTenantUnknown},
	{fmt.Errorf("x: %w", tenant.ErrNotActive), 503, CodeTenantNotReady},
	{fmt.Errorf("x: %w", tenant.ErrVersion), 503, CodeTenantNotReady},
	{fmt.Errorf("%w: %w", tenant.ErrUnavailable, context.DeadlineExceeded), 503, CodeRegistryUnavailable},
	{fmt.Errorf("x: %w", tenant.ErrNone), 400, CodeTenantMissing},
	{fmt.Errorf("x: %w", tenant.ErrInvalidID), 400, CodeTenantInvalid},
	{fmt.Errorf("x: %w", context.DeadlineExceeded), 503, CodeTimeout},
	{fmt.Errorf("x: %w", &Problem{Status: 409, Code: "taken"}), 409, "taken"},
	{context.Canceled, 500, ""},
	{tenant.ErrMismatch, 500, ""},
	{errors.New("duplicate key"), 500, ""},
}

func TestProblemFor(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, tt := range statementErrors {
		p := ProblemFor(ctx, tt.err)
		switch {
		case tt.code == "":
			if p != nil {
				t.Errorf("%v: %v, want none", tt.err, p)
			}
		case p == nil || p.Status != tt.status || p.Code != tt.code:
			t.Errorf("%v: %v, want %d %s", tt.err, p, tt.status, tt.code)
		case !errors.Is(tt.err, p) && !errors.Is(p, tt.err):
			t.Errorf("%v: the problem lost its cause", tt.err)
		}
	}
	if p := ProblemFor(ctx, nil); p != nil {
		t.Errorf("nil error: %v", p)
	}
	if p := ProblemFor(tenant.NewContext(ctx, "acme"), tenant.ErrNone); p != nil {
		t.Errorf("ErrNone within a tenant's request blames the client: %v", p)
	}
}

func TestProblemServeHTTP(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	w.Header().Set("Content-Length", "7")
	p := &Problem{Status: http.StatusConflict, RetryAfter: 1500 * time.Millisecond, Err: errRegistry}
	p.ServeHTTP(w, nil)
	if got, want := w.Body.String(), `{"type":"about:blank","title":"Conflict","status":409}`+"\n"; got != want {
		t.Errorf("body %s, want %s", got, want)
	}
	if h := w.Header(); h.Get("Retry-After") != "2" || h.Get("Content-Length") != "" || w.Code != http.StatusConflict {
		t.Errorf("status %d, headers %v", w.Code, h)
	}
}
