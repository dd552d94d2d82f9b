package warden

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
	"github.com/gormtenancy/gormtenancy/internal/service"
	"github.com/gormtenancy/gormtenancy/metrics"
	"github.com/gormtenancy/gormtenancy/metrics/outlier"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Mode is what becomes of outliers.
type Mode int

// The modes.
const (
	Off    Mode = iota // they are told of
	DryRun             // a quarantine is written down, and has no effect
	On                 // they are quarantined
)

// Config describes a Warden. Registry and Metrics are required.
type Config struct {
	Registry *registry.Registry
	Metrics  *metrics.Collector
	// Pools, if not nil, tells of the connection pools: Plugin.Stats.
	Pools func() []pool.Stats
	// Detector tunes the detector, Window is how often it looks. Default 5 s.
	Detector outlier.Config
	Window   time.Duration
	// Sinks are told of every event. Default: the Logger.
	Sinks []outlier.Sink
	// Quarantine says what becomes of outliers, of the Causes (default: those that take
	// from others: database time, rows, rate, connections). Spec says how.
	Quarantine Mode
	Causes     []outlier.Cause
	Spec       registry.QuarantineSpec
	// Rollup is how often usage is written to the control plane (default 1 min; negative:
	// never), Report how often the process says that it is there (default 10 s).
	Rollup, Report time.Duration
	// Logger gets what goes wrong. Default slog.Default.
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.Registry == nil || c.Metrics == nil {
		return c, errors.New("warden: Config.Registry and Config.Metrics are required (Plugin.Registry, and Plugin.Metrics with WithMetrics)")
	}
	if c.Window < 0 || c.Report < 0 || c.Quarantine < Off || c.Quarantine > On {
		return c, errors.New("warden: Window and Report cannot be negative, and Quarantine is Off, DryRun or On")
	}
	if c.Window == 0 {
		c.Window = 5 * time.Second
	}
	if c.Report == 0 {
		c.Report = 10 * time.Second
	}
	if c.Causes == nil {
		c.Causes = []outlier.Cause{outlier.CauseDatabaseTime, outlier.CauseRows, outlier.CauseRate, outlier.CauseConnections}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Sinks == nil {
		c.Sinks = []outlier.Sink{outlier.Log{Logger: c.Logger}}
	}
	return c, nil
}

// Warden watches the tenants of one process. It is made by New, and safe for concurrent
// use. Start and Stop it, before the registry is closed.
type Warden struct {
	cfg      Config
	id, host string
	started  time.Time
	detector *outlier.Detector
	rollup   *registry.Rollup // nil without
	loops    service.Group
	events   chan found

	windows windows // of the loop that looks

	mu   sync.Mutex // guards open
	open map[tenant.ID]outlier.Cause

	told    [phases][causes]atomic.Uint64
	dropped atomic.Uint64
}

const (
	phases = int(outlier.Closed) + 1
	causes = int(outlier.CauseConnections) + 1
	// maxFound is how many events may wait for the control plane.
	maxFound = 1000
	// actsWithin bounds what is written of one event.
	actsWithin = 10 * time.Second
)

// found is an event with what explains it.
type found struct {
	outlier.Event
	explanation outlier.Explanation
}

// New returns a Warden that was not started.
func New(cfg Config) (*Warden, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	d, err := outlier.New(cfg.Detector)
	if err != nil {
		return nil, fmt.Errorf("warden: %w", err)
	}
	host, _ := os.Hostname() // one without a name is told by its ID
	w := &Warden{
		cfg: cfg, id: rand.Text(), host: host, started: time.Now(), detector: d,
		events: make(chan found, maxFound), windows: windows{}, open: map[tenant.ID]outlier.Cause{},
	}
	if cfg.Rollup >= 0 {
		w.rollup, err = registry.NewRollup(cfg.Registry, registry.RollupConfig{Source: w.usage, Every: cfg.Rollup, Logger: cfg.Logger})
	}
	return w, err
}

// Start begins to watch, until Stop.
func (w *Warden) Start(ctx context.Context) error {
	loops := []func(context.Context){w.look, w.act, w.report}
	if err := w.loops.Start(ctx, loops...); err != nil {
		return err
	}
	if w.rollup == nil {
		return nil
	}
	if err := w.rollup.Start(ctx); err != nil {
		w.loops.Stop()
		return err
	}
	return nil
}

// Stop ends that. Usage that was not written yet is.
func (w *Warden) Stop() {
	w.loops.Stop()
	if w.rollup != nil {
		w.rollup.Stop()
	}
}

// Explain tells how the detector has judged a tenant in the last window; false if it does
// not know it.
func (w *Warden) Explain(id tenant.ID) (outlier.Explanation, bool) { return w.detector.Explain(id) }

// look steps the detector once a window.
func (w *Warden) look(ctx context.Context) {
	last := time.Now()
	w.windows.take(w.cfg.Metrics) // what was before is no window's
	tick := time.NewTicker(w.cfg.Window)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			w.runOnce(ctx, now, now.Sub(last))
			last = now
		}
	}
}

// runOnce takes one window, and passes on what came of it.
func (w *Warden) runOnce(ctx context.Context, now time.Time, window time.Duration) {
	for _, e := range w.detector.Step(now, window, w.windows.take(w.cfg.Metrics)) {
		w.note(e)
		for _, s := range w.cfg.Sinks {
			s.Emit(ctx, e)
		}
		f := found{Event: e}
		f.explanation, _ = w.detector.Explain(e.Tenant)
		select {
		case w.events <- f:
		default:
			w.dropped.Add(1)
		}
	}
}

// note keeps who is flagged, for the metrics.
func (w *Warden) note(e outlier.Event) {
	w.told[e.Phase][e.Cause].Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Phase == outlier.Closed {
		delete(w.open, e.Tenant)
		w.cfg.Metrics.Unflag(e.Tenant)
		return
	}
	w.open[e.Tenant] = e.Cause
	w.cfg.Metrics.Flag(e.Tenant)
}

// harmful reports whether a cause leads to quarantine.
func (w *Warden) harmful(c outlier.Cause) bool {
	return w.cfg.Quarantine != Off && slices.Contains(w.cfg.Causes, c)
}
