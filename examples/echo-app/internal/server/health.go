package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// readyTimeout bounds each question of /readyz.
const readyTimeout = 2 * time.Second

// ready reports whether this process can serve: the control plane and the
// application's primary answer, and it is not about to stop. The causes go to
// the log: they name hosts.
func (s *Server) ready(c echo.Context) error {
	checks := map[string]func(context.Context) error{"control_plane": s.cfg.Registry.Ping, "primary": s.pingPrimary}
	var mu sync.Mutex // guards answer and status
	answer, status := map[string]string{}, http.StatusOK
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(c.Request().Context(), readyTimeout)
	defer cancel()
	for name, check := range checks {
		wg.Go(func() {
			err := check(ctx)
			mu.Lock()
			defer mu.Unlock()
			if answer[name] = "ok"; err != nil {
				s.cfg.Logger.WarnContext(ctx, "not ready", "check", name, "cause", err)
				answer[name], status = "unavailable", http.StatusServiceUnavailable
			}
		})
	}
	wg.Wait()
	if s.draining.Load() {
		answer["server"], status = "draining", http.StatusServiceUnavailable
	}
	return c.JSON(status, answer)
}

func (s *Server) pingPrimary(ctx context.Context) error {
	db, err := s.cfg.DB.DB()
	if err != nil {
		return err
	}
	return db.PingContext(ctx)
}
