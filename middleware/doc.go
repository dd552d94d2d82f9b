// Package middleware finds out which tenant an HTTP request is for, asks the
// registry whether that tenant may be served, and puts it into the request's
// context, where GORM's statements find it: a handler only has to pass on
// r.Context() (in Echo: c.Request().Context()). [HTTP] is the net/http form,
// [Tenant] the Echo form of the same decision.
//
// What it promises:
//
//   - Nothing of a request is believed that is not listed in Config.From: no
//     header, no X-Forwarded-Host, no path.
//   - Every listed source is read. Sources that name a tenant must name the
//     same one; a request that says two things is refused.
//   - The registry is asked only for what tenant.ParseID accepts.
//   - A refusal is a problem document (RFC 9457) and a log record, and neither
//     repeats what the client sent other than quoted, in ASCII and cut short.
//
// The decision and its answers:
//
//	a source finds something malformed, or an ID given twice  400 tenant_invalid
//	no source finds anything                                  400 tenant_missing (or Config.Optional)
//	... and the host leads to nobody ([Host])                 404 tenant_unknown
//	sources disagree                                          400 tenant_conflict
//	not an ID                                                 400 tenant_invalid
//	unknown to the registry, or archived                      404 tenant_unknown
//	suspended                                                 403 tenant_suspended
//	being provisioned                                         503 tenant_not_ready, Retry-After
//	the registry cannot be asked, or not in time              503 registry_unavailable, Retry-After
//	over its limit of requests ([Config].Limiter)             429 tenant_limited, Retry-After
//	a handler returned an error that wraps tenant.ErrLimited  429 tenant_limited, Retry-After if waiting helps
//	a handler returned an error for want of time              503 timeout, Retry-After
//
// With a limiter, the answers to requests of limited tenants tell what is left
// in the fields RateLimit and RateLimit-Policy, as draft-ietf-httpapi-ratelimit-headers
// (08 to 11) writes them: RateLimit: "default";r=50;t=30.
//
// It does not authenticate. A header or a host name is a statement of the
// client's: whether this client may act for that tenant is for the
// application's own authentication to decide, and a [Claim] among the sources
// makes both agree. Behind a proxy, let the proxy overwrite or drop the header
// that is listed here. CORS preflights carry no custom header: place the CORS
// middleware before this one.
package middleware
