package warden

import (
	"context"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gormtenancy/gormtenancy/metrics/outlier"
	"github.com/gormtenancy/gormtenancy/registry"
)

// report says that the process is there, and, at its end, that it is no longer.
func (w *Warden) report(ctx context.Context) {
	tick := time.NewTicker(w.cfg.Report)
	defer tick.Stop()
	for down := false; ; {
		err := w.reportOnce(ctx)
		if err != nil && !down && ctx.Err() == nil {
			w.cfg.Logger.WarnContext(ctx, "the process could not be reported", "cause", err)
		}
		down = err != nil
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.cfg.Report)
			defer cancel()
			_ = w.cfg.Registry.LeaveProcess(last, w.id) // or it is forgotten later
			return
		case <-tick.C:
		}
	}
}

func (w *Warden) reportOnce(ctx context.Context) error {
	p := registry.Process{ID: w.id, Host: w.host, PID: os.Getpid(), Started: w.started}
	if w.cfg.Pools != nil {
		p.Pools = w.cfg.Pools()
	}
	return w.cfg.Registry.ReportProcess(ctx, p)
}

var (
	outliers = desc("outliers", "Tenants that are flagged, by cause.", "cause")
	told     = desc("outlier_events_total", "What was told of outliers, by cause and phase.", "cause", "phase")
	lost     = desc("outlier_events_dropped_total", "Events that the control plane was not told of because too many waited.")
	written  = desc("rollup_rows_written_total", "Rows of usage written to the control plane.")
	dropped  = desc("rollup_rows_dropped_total", "Rows of usage that were lost because the control plane was away for too long.")
	buffered = desc("rollup_rows_buffered", "Rows of usage that wait to be written.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("gormtenancy_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (w *Warden) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{outliers, told, lost, written, dropped, buffered} {
		ch <- d
	}
}

// Collect implements prometheus.Collector: register the Warden to see what it does.
func (w *Warden) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	open := map[outlier.Cause]int{}
	w.mu.Lock()
	for _, c := range w.open {
		open[c]++
	}
	w.mu.Unlock()
	for c := outlier.CauseNone + 1; int(c) < causes; c++ {
		gauge(outliers, open[c], c.String())
		for p := range outlier.Phase(phases) {
			counter(told, w.told[p][c].Load(), c.String(), p.String())
		}
	}
	counter(lost, w.dropped.Load())
	if w.rollup != nil {
		st := w.rollup.Stats()
		counter(written, st.Written)
		counter(dropped, st.Dropped)
		gauge(buffered, st.Buffered)
	}
}
