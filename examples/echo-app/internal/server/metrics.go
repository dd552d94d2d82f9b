package server

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
)

// Metrics are the application's; those of statements, tenants and pools are the
// plugin's (tenantplugin.WithMetrics). It is the plugin's Observer, too, and so is
// made before the plugin. No label is the client's to choose: routes are
// patterns, and tenants are those that exist.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
}

// NewMetrics returns metrics with a registry of their own.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Help: "Time to answer a request, by method, route and status.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}, []string{"method", "route", "status"}),
	}
	m.registry.MustRegister(m.requests, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// handler serves OpenMetrics to who asks for it: exemplars are in no other text.
func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, EnableOpenMetrics: true})
}

// ObserveStatement implements tenantplugin.Observer.
func (m *Metrics) ObserveStatement(ctx context.Context, s tenantplugin.Statement) { addWork(ctx, s) }

// observe records one request.
func (m *Metrics) observe(c echo.Context, route string, took time.Duration) {
	m.requests.WithLabelValues(method(c.Request().Method), route, strconv.Itoa(c.Response().Status)).Observe(took.Seconds())
}

// method returns a method that is known: a client may send any word.
func method(s string) string {
	switch s {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return s
	}
	return "other"
}

// route returns the pattern that matched, or "none", but never a path.
func (s *Server) route(c echo.Context) string {
	if s.patterns[c.Path()] {
		return c.Path()
	}
	return "none"
}
