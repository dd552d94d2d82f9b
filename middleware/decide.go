package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// guard is a validated Config, prepared for the hot path. It is never changed
// after newGuard.
type guard struct {
	Config
	sources []source
	vary    []string
}

// source is a Source whose optional half was detected at construction.
type source struct {
	Source
	echo EchoSource // nil if it has none
}

func (s source) read(r *http.Request, c echo.Context) (string, bool, error) {
	if s.echo != nil && c != nil {
		return s.echo.ExtractEcho(c)
	}
	return s.Extract(r)
}

// newGuard panics on a Config that cannot work, as a middleware has no other
// way to say so before the first request.
func newGuard(cfg Config) *guard {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	g := &guard{Config: cfg}
	if g.Logger == nil {
		g.Logger = slog.Default()
	}
	for _, s := range cfg.From {
		src := source{Source: s}
		src.echo, _ = s.(EchoSource)
		g.sources = append(g.sources, src)
		if v, ok := s.(VarySource); ok {
			g.vary = append(g.vary, v.Vary())
		}
	}
	return g
}

func (g *guard) skips(r *http.Request) bool { return g.Skipper != nil && g.Skipper(r) }

// begin marks the response as depending on the headers that were read,
// whatever becomes of it.
func (g *guard) begin(h http.Header) {
	for _, v := range g.vary {
		h.Add("Vary", v)
	}
}

// admit returns the context in which the request goes on, or the problem that
// refuses it. h is the response's; c is nil under net/http.
func (g *guard) admit(h http.Header, r *http.Request, c echo.Context) (context.Context, *Problem) {
	ctx := r.Context()
	id, from, nowhere, p := g.identify(r, c)
	if p != nil {
		return nil, p
	}
	if from == nil {
		if g.Optional {
			return ctx, nil
		}
		if nowhere {
			return nil, unknown("no tenant has this host", errNowhere)
		}
		return nil, missing("the request names no tenant: "+g.wanted(), tenant.ErrNone)
	}
	tid, err := tenant.ParseID(id)
	if err != nil {
		return nil, invalid(from.Name()+": "+err.Error(), err)
	}
	t, err := g.Registry.Lookup(ctx, tid)
	if err == nil {
		err = t.Usable(tenant.AdmissionOf(ctx))
	}
	if err != nil {
		return nil, refusal(tid, t.State, err)
	}
	if g.Limiter != nil {
		if p := g.limit(ctx, h, t); p != nil {
			return nil, p
		}
	}
	return tenant.NewContext(ctx, tid), nil
}

// identify reads all sources. The ID is as it was sent; from is the first
// source that found it, nil if none did. nowhere is whether the host leads to nobody.
func (g *guard) identify(r *http.Request, c echo.Context) (id string, from Source, nowhere bool, p *Problem) {
	for _, s := range g.sources {
		got, found, err := s.read(r, c)
		switch {
		case err == errNowhere:
			nowhere = true
		case err != nil:
			return "", nil, false, unreadable(r.Context(), s, err)
		case !found:
		case from == nil:
			id, from = got, s.Source
		case got != id:
			return "", nil, false, conflict(from.Name(), id, s.Name(), got)
		}
	}
	return id, from, nowhere, nil
}

// unreadable answers a source's error. A text that we did not write stays in
// the log.
func unreadable(ctx context.Context, s Source, err error) *Problem {
	if p := ProblemFor(ctx, err); p != nil {
		return p
	}
	return invalid(s.Name()+" cannot be read", err)
}

// wanted lists the sources for a client that used none of them.
func (g *guard) wanted() string {
	list := "send it as " + g.sources[0].Name()
	for _, s := range g.sources[1:] {
		list += ", or " + s.Name()
	}
	return list
}

// refusal answers what Lookup or the tenant's state said.
func refusal(id tenant.ID, state tenant.State, err error) *Problem {
	switch {
	case errors.Is(err, tenant.ErrUnknown), errors.Is(err, tenant.ErrNotActive) && state == tenant.StateArchived:
		return unknown(fmt.Sprintf("no tenant %q", id), err)
	case errors.Is(err, tenant.ErrSuspended):
		return suspended(err)
	case errors.Is(err, tenant.ErrNotActive):
		return notReady(err)
	}
	return unavailable(err)
}

// log writes one record about a refused request.
func (g *guard) log(r *http.Request, p *Problem) {
	ctx, level := r.Context(), slog.LevelInfo
	switch {
	case ctx.Err() != nil, p.Code == CodeTenantLimited:
		level = slog.LevelDebug
	case p.status() >= http.StatusInternalServerError:
		level = slog.LevelError
	}
	g.Logger.LogAttrs(ctx, level, "request refused",
		slog.Int("status", p.status()), slog.String("code", p.Code), slog.String("detail", p.Detail), slog.Any("cause", p.Err))
}
