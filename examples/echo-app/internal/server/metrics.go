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

// Metrics are the application's. It is the plugin's Observer, too, and so is
// made before the plugin. No label is the client's to choose: routes are
// patterns, and tenants are no label at all.
type Metrics struct {
	registry   *prometheus.Registry
	requests   *prometheus.HistogramVec
	statements *prometheus.HistogramVec
}

// NewMetrics returns metrics with a registry of their own.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Help: "Time to answer a request, by method, route and status.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}, []string{"method", "route", "status"}),
		statements: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "db_statement_duration_seconds", Help: "Time of a statement and of those that GORM ran for it (preloads, associations), by kind, shard, role of the node and result.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}, []string{"kind", "shard", "role", "result"}),
	}
	m.registry.MustRegister(m.requests, m.statements, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// ObserveStatement implements tenantplugin.Observer.
func (m *Metrics) ObserveStatement(ctx context.Context, s tenantplugin.Statement) {
	result := "ok"
	if s.Err != nil {
		result = "error"
	}
	m.statements.WithLabelValues(string(s.Kind), s.Shard, role(s), result).Observe(s.Duration.Seconds())
	addWork(ctx, s)
}

// role tells primary from replica; it is empty for a statement that was refused
// before it reached a node.
func role(s tenantplugin.Statement) string {
	switch {
	case s.Replica:
		return "replica"
	case s.Node != "":
		return "primary"
	}
	return ""
}

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
