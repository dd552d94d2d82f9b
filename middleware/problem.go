package middleware

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// The codes of problems, for programs to tell them apart. They do not change.
const (
	CodeTenantMissing       = "tenant_missing"
	CodeTenantInvalid       = "tenant_invalid"
	CodeTenantConflict      = "tenant_conflict"
	CodeTenantUnknown       = "tenant_unknown"
	CodeTenantSuspended     = "tenant_suspended"
	CodeTenantLimited       = "tenant_limited"
	CodeTenantNotReady      = "tenant_not_ready"
	CodeRegistryUnavailable = "registry_unavailable"
	CodeTimeout             = "timeout"
)

// retryAfter is what a refusal that passes by itself suggests.
const retryAfter = time.Second

// maxShown bounds how much of a request a text repeats, in bytes.
const maxShown = 64

// Problem is a refusal: an error for the program and, as application/problem+json
// (RFC 9457), the answer for the client.
type Problem struct {
	// Type is a URI; empty means about:blank, whose title is the status's.
	Type string
	// Title is the same for all problems of a type; empty means the status's.
	Title string
	// Status is the HTTP status, 400 to 599; anything else is sent as 500.
	Status int
	// Detail says what is wrong with this request, in ASCII.
	Detail string
	// Instance is a URI of this occurrence; left out if empty.
	Instance string
	// Code is one of the Code constants, the member "code".
	Code string
	// RetryAfter is when to try again, in the header Retry-After in seconds,
	// rounded up; none if zero.
	RetryAfter time.Duration
	// Err is the cause. The client never sees it.
	Err error
}

// Error returns code and detail, without the cause.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// Unwrap returns the cause, so that errors.Is(err, tenant.ErrSuspended) works.
func (p *Problem) Unwrap() error { return p.Err }

// MarshalJSON returns the problem document. It does not contain the cause.
func (p *Problem) MarshalJSON() ([]byte, error) {
	doc := struct {
		Type     string `json:"type"`
		Title    string `json:"title"`
		Status   int    `json:"status"`
		Detail   string `json:"detail,omitempty"`
		Instance string `json:"instance,omitempty"`
		Code     string `json:"code,omitempty"`
	}{p.Type, p.Title, p.status(), p.Detail, p.Instance, p.Code}
	if doc.Type == "" {
		doc.Type = "about:blank"
	}
	if doc.Title == "" {
		doc.Title = http.StatusText(doc.Status)
	}
	return json.Marshal(doc)
}

// status spares net/http, which panics on what is no status, a source's zero.
func (p *Problem) status() int {
	if p.Status < 400 || p.Status > 599 {
		return http.StatusInternalServerError
	}
	return p.Status
}

// contentType is the media type of problem documents.
const contentType = "application/problem+json"

// ServeHTTP answers a request with the problem. The response must not have
// been begun.
func (p *Problem) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	body, err := p.MarshalJSON()
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Del("Content-Length")
	h.Set("Content-Type", contentType)
	p.setHeaders(h)
	w.WriteHeader(p.status())
	// An error here is the client's hanging up; nobody is left to tell.
	_, _ = w.Write(append(body, '\n'))
}

// setHeaders sets what goes with a problem, however its body is rendered. No
// cache may keep it: the tenant can be created, or resumed, a moment later.
func (p *Problem) setHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", wholeSeconds(p.RetryAfter))
	}
}

// ProblemFor returns the problem that answers err, which a statement returned
// in a handler with context ctx, or nil if err has nothing to do with tenants
// (or with time running out) and is the application's to answer. A *Problem in
// err's chain is returned as it is.
//
// tenant.ErrNone, although the request has a tenant, is nil too: it says that
// the handler did not pass ctx on, which is no fault of the client's.
func ProblemFor(ctx context.Context, err error) *Problem {
	var p *Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		return p
	case errors.Is(err, tenant.ErrLimited):
		return limited(err)
	case errors.Is(err, tenant.ErrInvalidID):
		return invalid("the request leads to an invalid tenant ID", err)
	case errors.Is(err, tenant.ErrUnknown):
		return unknown("no such tenant", err)
	case errors.Is(err, tenant.ErrSuspended):
		return suspended(err)
	case errors.Is(err, tenant.ErrNotActive), errors.Is(err, tenant.ErrVersion):
		return notReady(err)
	case errors.Is(err, tenant.ErrUnavailable):
		return unavailable(err)
	case errors.Is(err, context.DeadlineExceeded):
		return &Problem{
			Status: http.StatusServiceUnavailable, Code: CodeTimeout,
			Detail: "the request took too long: try again", RetryAfter: retryAfter, Err: err,
		}
	case errors.Is(err, tenant.ErrNone):
		if _, in := tenant.FromContext(ctx); in != nil {
			return missing("this request needs a tenant, and names none", err)
		}
	}
	return nil
}

func invalid(detail string, err error) *Problem {
	if err == nil {
		err = tenant.ErrInvalidID
	}
	return &Problem{Status: http.StatusBadRequest, Code: CodeTenantInvalid, Detail: detail, Err: err}
}

func missing(detail string, err error) *Problem {
	return &Problem{Status: http.StatusBadRequest, Code: CodeTenantMissing, Detail: detail, Err: err}
}

// errConflict is for the log; the detail names the sources.
var errConflict = errors.New("the request's sources name different tenants")

func conflict(one, oneID, other, otherID string) *Problem {
	return &Problem{
		Status: http.StatusBadRequest, Code: CodeTenantConflict, Err: errConflict,
		Detail: fmt.Sprintf("sources disagree: %s says %s, %s says %s: name one tenant", one, shown(oneID), other, shown(otherID)),
	}
}

func unknown(detail string, err error) *Problem {
	return &Problem{Status: http.StatusNotFound, Code: CodeTenantUnknown, Detail: detail, Err: err}
}

func suspended(err error) *Problem {
	return &Problem{Status: http.StatusForbidden, Code: CodeTenantSuspended, Detail: "this tenant is suspended", Err: err}
}

func notReady(err error) *Problem {
	return &Problem{
		Status: http.StatusServiceUnavailable, Code: CodeTenantNotReady,
		Detail: "this tenant is not ready yet: try again", RetryAfter: retryAfter, Err: err,
	}
}

func unavailable(err error) *Problem {
	return &Problem{
		Status: http.StatusServiceUnavailable, Code: CodeRegistryUnavailable,
		Detail: "the tenant cannot be looked up at the moment: try again", RetryAfter: retryAfter, Err: err,
	}
}

// shown returns a part of a request for a text: quoted in ASCII, so that it
// breaks neither a line nor a terminal, and bounded.
func shown(s string) string {
	if len(s) > maxShown {
		return strconv.QuoteToASCII(s[:maxShown]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
