package middleware

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// limit takes one request of the tenant's, and tells the client what is left.
func (g *guard) limit(ctx context.Context, h http.Header, t tenant.Tenant) *Problem {
	d, err := g.Limiter.Request(ctx, &t)
	tell(h, d)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tenant.ErrLimited):
		return limited(err)
	}
	return unavailable(err)
}

// tell sets the fields of draft-ietf-httpapi-ratelimit-headers.
func tell(h http.Header, d quota.Decision) {
	if d.Limit == 0 {
		return
	}
	h.Set("RateLimit-Policy", `"default";q=`+strconv.Itoa(d.Limit)+";w="+wholeSeconds(d.Window))
	h.Set("RateLimit", `"default";r=`+strconv.Itoa(d.Remaining)+";t="+wholeSeconds(d.Reset))
}

// wholeSeconds rounds up: who waits that long has waited long enough.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64(d/time.Second)+min(1, int64(d%time.Second)), 10)
}

// limited answers what wraps tenant.ErrLimited.
func limited(err error) *Problem {
	p := &Problem{
		Status: http.StatusTooManyRequests, Code: CodeTenantLimited,
		Detail: "this tenant is over a limit: slow down", RetryAfter: retryAfter, Err: err,
	}
	var e *quota.LimitError
	if errors.As(err, &e) {
		p.RetryAfter = e.RetryAfter
		p.Detail = "this tenant is over its limit of " + e.Limit
		if e.RetryAfter > 0 {
			p.Detail += ": try again later"
		}
	}
	return p
}
