package server

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"

	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
)

// work is the database work of one request. It adds up no times: a statement's
// contains that of the ones that GORM runs for it.
type work struct {
	// mu guards what follows: a handler may use several goroutines.
	mu         sync.Mutex
	statements int
	nodes      []string // where it ran, in the order of first use
}

type workKey struct{}

func withWork(ctx context.Context, w *work) context.Context {
	return context.WithValue(ctx, workKey{}, w)
}

// addWork counts a statement to the request that it belongs to, if any.
func addWork(ctx context.Context, s tenantplugin.Statement) {
	w, _ := ctx.Value(workKey{}).(*work)
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.statements++
	if s.Shard == "" {
		return
	}
	if node := s.Shard + "/" + s.Node; !slices.Contains(w.nodes, node) {
		w.nodes = append(w.nodes, node)
	}
}

func (w *work) attrs() []slog.Attr {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.statements == 0 {
		return nil
	}
	return []slog.Attr{
		slog.Int("db_statements", w.statements),
		slog.String("db_nodes", strings.Join(w.nodes, ",")),
	}
}
