package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/api"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// maxRequestID bounds a request ID that a client brings, in bytes.
const maxRequestID = 64

// requestID gives the request an ID, in the response and the context. The
// client's own is taken if it is one that breaks neither log nor header.
func requestID(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := c.Request().Header.Get(echo.HeaderXRequestID)
		if id == "" || len(id) > maxRequestID || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			id = rand.Text()
		}
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		c.SetRequest(c.Request().WithContext(api.WithRequestID(c.Request().Context(), id)))
		return next(c)
	}
}

// observe is around everything else: it has errors answered, measures, and
// writes one record per request.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start, w := time.Now(), &work{}
		c.SetRequest(c.Request().WithContext(withWork(c.Request().Context(), w)))
		if err := next(c); err != nil {
			c.Error(err)
		}
		took := time.Since(start)
		s.cfg.Metrics.observe(c, s.route(c), took)
		s.log(c, took, w)
		return nil
	}
}

// log writes the access log, with the database work that the request caused
// and where that ran.
func (s *Server) log(c echo.Context, took time.Duration, w *work) {
	r := c.Request()
	attrs := []slog.Attr{
		slog.String("method", shortened(r.Method)), slog.String("path", shortened(r.URL.Path)), slog.String("route", s.route(c)),
		slog.Int("status", c.Response().Status), slog.Int64("bytes", c.Response().Size),
		slog.Float64("ms", milliseconds(took)), slog.String("remote", r.RemoteAddr),
	}
	if id, err := tenant.FromContext(r.Context()); err == nil {
		attrs = append(attrs, slog.String("tenant", string(id)))
	}
	s.cfg.Logger.LogAttrs(r.Context(), slog.LevelInfo, "request", append(attrs, w.attrs()...)...)
}

// shortened bounds what a client may write into the log.
func shortened(s string) string {
	if len(s) > maxLogged {
		return s[:maxLogged] + "..."
	}
	return s
}

// maxLogged is in bytes.
const maxLogged = 200

// withRequestID adds the request's ID to every record that is logged with its
// context, whoever logs it.
func withRequestID(h slog.Handler) slog.Handler { return logHandler{h} }

type logHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	if id := api.RequestID(ctx); id != "" {
		r.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h logHandler) WithAttrs(a []slog.Attr) slog.Handler { return logHandler{h.Handler.WithAttrs(a)} }

// WithGroup implements slog.Handler.
func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// panicked turns a panic into an error; HandleError logs it.
func (s *Server) panicked(c echo.Context, err error, stack []byte) error {
	s.cfg.Logger.ErrorContext(c.Request().Context(), "handler panicked", "cause", err, "stack", string(stack))
	return err
}
