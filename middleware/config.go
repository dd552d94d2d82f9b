package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Directory knows the tenants; a *registry.Registry is one. It is asked once
// per request, so it should answer from memory.
type Directory interface {
	// Lookup returns a tenant. An error that wraps tenant.ErrUnknown is
	// answered 404, any other 503.
	Lookup(ctx context.Context, id tenant.ID) (tenant.Tenant, error)
}

// Limiter knows how many requests a tenant may send; a *quota.Governor is one.
type Limiter interface {
	// Request takes one request of the tenant's. An error that wraps
	// tenant.ErrLimited is answered 429, any other 503.
	Request(ctx context.Context, t *tenant.Tenant) (quota.Decision, error)
}

// Config says where the tenant of a request is read and who knows it.
type Config struct {
	// Registry knows the tenants. Required.
	Registry Directory
	// From lists the sources, at least one. All of them are read; the order
	// only decides who is named first in a refusal.
	From []Source
	// Optional lets a request in which no source finds anything go on
	// without a tenant. Its statements fail with tenant.ErrNone unless the
	// handler names a tenant or says tenant.Shared. What is found must be
	// right all the same.
	Optional bool
	// Skipper returns true for requests that have no tenant, such as
	// /healthz and /metrics: they pass unread. Default: none does.
	Skipper func(*http.Request) bool
	// Limiter is asked once for each request whose tenant was admitted, and the
	// answer carries the fields RateLimit and RateLimit-Policy if the tenant has
	// a limit. Default: requests are not limited.
	Limiter Limiter
	// OnError writes the answer to a refused request in place of
	// Problem.ServeHTTP. It may change the problem. In Echo, it is called in
	// place of the application's HTTPErrorHandler.
	OnError func(http.ResponseWriter, *http.Request, *Problem)
	// Logger takes one record per refused request: level Info for those that
	// the client has to answer for (4xx), Error for ours (5xx), Debug when the
	// client is gone, and for what is over a limit, as that comes in floods. Default: slog.Default() at construction.
	Logger *slog.Logger
}

// Validate reports what Config lacks or contradicts. HTTP and Tenant panic
// with this error; call it first where the configuration comes from outside.
func (cfg Config) Validate() error {
	if cfg.Registry == nil {
		return errors.New("middleware: no Config.Registry: give it the registry that knows the tenants")
	}
	if len(cfg.From) == 0 {
		return errors.New("middleware: no Config.From: list where the tenant is read, such as middleware.Header(\"X-Tenant-ID\")")
	}
	for i, s := range cfg.From {
		if s == nil {
			return fmt.Errorf("middleware: Config.From[%d] is nil", i)
		}
		if v, ok := s.(interface{ validate() error }); ok {
			if err := v.validate(); err != nil {
				return fmt.Errorf("middleware: Config.From[%d]: %w", i, err)
			}
		}
	}
	return nil
}
