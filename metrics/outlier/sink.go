package outlier

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// Sink is told of events, one at a time, and must not block for long.
type Sink interface {
	Emit(ctx context.Context, e Event)
}

// Log writes events to a logger: openings and changes as warnings, closings as information.
type Log struct{ Logger *slog.Logger }

// Emit implements Sink.
func (l Log) Emit(ctx context.Context, e Event) {
	level := slog.LevelWarn
	if e.Phase == Closed {
		level = slog.LevelInfo
	}
	l.Logger.LogAttrs(ctx, level, "tenant is an outlier", slog.String("phase", e.Phase.String()), slog.String("tenant", string(e.Tenant)),
		slog.String("shard", e.Shard), slog.String("cause", e.Cause.String()), slog.Float64("magnitude", e.Magnitude),
		slog.String("evidence", e.Evidence), slog.String("query", e.Query.Text))
}

// Channel passes events on. What finds it full is dropped, and counted.
type Channel struct {
	C       chan<- Event
	dropped atomic.Uint64
}

// Emit implements Sink.
func (c *Channel) Emit(_ context.Context, e Event) {
	select {
	case c.C <- e:
	default:
		c.dropped.Add(1)
	}
}

// Dropped returns how many events found the channel full.
func (c *Channel) Dropped() uint64 { return c.dropped.Load() }
