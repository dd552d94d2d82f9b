package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	echomw "github.com/labstack/echo/v4/middleware"
	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/api"
	"github.com/gormtenancy/gormtenancy/middleware"
	"github.com/gormtenancy/gormtenancy/registry"
)

// Config describes a server. DB, Registry and Metrics are required.
type Config struct {
	DB       *gorm.DB
	Registry *registry.Registry
	Metrics  *Metrics
	// Limiter knows how many requests a tenant may send. Default: any number.
	Limiter middleware.Limiter
	// Logger takes the access log and errors. Default slog.Default.
	Logger *slog.Logger
	// RequestTimeout bounds each request. Default 10 s.
	RequestTimeout time.Duration
	// DrainDelay is how long /readyz says 503 before the server stops to
	// listen, for a load balancer to notice. Default 0.
	DrainDelay time.Duration
	// ShutdownTimeout is how long the requests under way may take to finish.
	// Default RequestTimeout and 5 s more.
	ShutdownTimeout time.Duration
}

// Server is the order desk over HTTP.
type Server struct {
	cfg      Config
	echo     *echo.Echo
	patterns map[string]bool // of the routes
	draining atomic.Bool
}

// bodyLimit is more than the largest order needs.
const bodyLimit = "64K"

// New returns a server that does not listen yet.
func New(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	cfg.Logger = slog.New(withRequestID(cfg.Logger.Handler()))
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = 10 * time.Second
	}
	if cfg.ShutdownTimeout == 0 {
		cfg.ShutdownTimeout = cfg.RequestTimeout + 5*time.Second
	}
	s := &Server{cfg: cfg, echo: echo.New(), patterns: map[string]bool{}}
	s.echo.HTTPErrorHandler = api.HandleError(cfg.Logger)
	s.use()
	s.routes()
	for _, r := range s.echo.Routes() {
		s.patterns[r.Path] = true
	}
	return s
}

// use sets what is around every handler, the outermost first. All of it is on
// the root and not on a group: Echo answers a wrong method below a group that
// has middleware with 404 in place of 405.
func (s *Server) use() {
	s.echo.Use(
		requestID,
		s.observe,
		echomw.RecoverWithConfig(echomw.RecoverConfig{LogErrorFunc: s.panicked}),
		echomw.BodyLimit(bodyLimit),
		echomw.ContextTimeoutWithConfig(echomw.ContextTimeoutConfig{
			Timeout:      s.cfg.RequestTimeout,
			ErrorHandler: func(err error, _ echo.Context) error { return err }, // HandleError's business
		}),
		middleware.Tenant(middleware.Config{
			Registry: s.cfg.Registry, Limiter: s.cfg.Limiter, Logger: s.cfg.Logger, Skipper: hasNoTenant,
			From: []middleware.Source{middleware.Header(TenantHeader)},
		}),
	)
}

// hasNoTenant tells the requests that are about the process, not a tenant's
// data. Should one of them ask the database all the same, it is refused there.
func hasNoTenant(r *http.Request) bool { return !strings.HasPrefix(r.URL.Path, "/api/") }

func (s *Server) routes() {
	s.echo.GET("/", s.index)
	s.echo.GET("/healthz", func(c echo.Context) error { return c.JSON(http.StatusOK, echo.Map{"status": "ok"}) })
	s.echo.GET("/readyz", s.ready)
	s.echo.GET("/metrics", echo.WrapHandler(s.cfg.Metrics.handler()))
	api.New(s.cfg.DB, s.cfg.Registry).Register(s.echo.Group("/api"))
}

// TenantHeader names the tenant of a request. A real application takes it from
// its authentication, or beside it: see package middleware.
const TenantHeader = "X-Tenant-ID"

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// Serve serves on l, which it closes, until ctx ends. Then it takes no more
// requests, and returns when those under way have been answered, or with an
// error if they take longer than ShutdownTimeout.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      s.cfg.RequestTimeout + 20*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	return s.shutdown(context.WithoutCancel(ctx), srv, failed)
}

func (s *Server) shutdown(ctx context.Context, srv *http.Server, failed <-chan error) error {
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-time.After(s.cfg.DrainDelay):
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ShutdownTimeout)
	defer cancel()
	err := srv.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests did not end within %s and were cut off: %w", s.cfg.ShutdownTimeout, err), srv.Close())
	}
	if end := <-failed; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}
