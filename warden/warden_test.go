package warden

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/internal/pool"
	"github.com/gormtenancy/gormtenancy/metrics"
	"github.com/gormtenancy/gormtenancy/metrics/outlier"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, goleak.Find)) }

var quiet = slog.New(slog.DiscardHandler)

// lab is a warden whose windows are the test's to pass.
type lab struct {
	*testing.T
	*Warden
	reg    *registry.Registry
	c      *metrics.Collector
	now    time.Time
	events chan outlier.Event
}

const tenants = 30

func id(i int) tenant.ID { return tenant.ID(fmt.Sprintf("t%02d", i)) }

func newLab(t *testing.T, change func(*Config)) *lab {
	t.Helper()
	l := &lab{T: t, c: metrics.New(metrics.Config{}), now: time.Now(), events: make(chan outlier.Event, 100)}
	var err error
	l.reg, err = registry.Open(t.Context(), registry.Config{DSN: pgtest.Any(t).Database(t), HomeShard: "default", Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.reg.Close)
	cfg := Config{Registry: l.reg, Metrics: l.c, Logger: quiet, Sinks: []outlier.Sink{&outlier.Channel{C: l.events}}}
	if change != nil {
		change(&cfg)
	}
	if l.Warden, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	l.windows.take(l.c)
	return l
}

// window lets every tenant run some statements, and one of them heavy ones.
func (l *lab) window(heavy int) {
	for i := range tenants {
		for range 20 {
			l.c.Observe(&metrics.Statement{Tenant: id(i), Shard: "default", Duration: 2 * time.Millisecond, Rows: 10, Text: "select a from t where b = 7"})
		}
	}
	for range heavy {
		l.c.Observe(&metrics.Statement{Tenant: "t05", Shard: "default", Duration: 2 * time.Second, Rows: 1, Text: "select sum(a) from t where c > 5"})
	}
	l.now = l.now.Add(5 * time.Second)
	l.runOnce(l.Context(), l.now, 5*time.Second)
}

// entered is what act does, without its loop.
func (l *lab) entered() (n int) {
	for {
		select {
		case f := <-l.Warden.events:
			l.enter(l.Context(), f)
			n++
		default:
			return n
		}
	}
}

// until passes windows until something was found.
func (l *lab) until(heavy, windows int) int {
	for range windows {
		l.window(heavy)
		if n := l.entered(); n > 0 {
			return n
		}
	}
	return 0
}

// What is found reaches sinks, the control plane, the metrics, and the lane.
func TestLoop(t *testing.T) {
	t.Parallel()
	for mode, name := range map[Mode]string{Off: "off", DryRun: "dry run", On: "on"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, func(c *Config) { c.Quarantine = mode })
			for i := range tenants {
				if _, err := l.reg.Create(t.Context(), tenant.Spec{ID: id(i)}); err != nil {
					t.Fatal(err)
				}
			}
			if n := l.until(0, 100); n != 0 {
				t.Fatalf("%d events while all is quiet", n)
			}
			if n := l.until(10, 12); n != 1 {
				t.Fatalf("%d events", n)
			}
			e := <-l.events
			findings, err := l.reg.Findings(t.Context(), registry.FindingFilter{Open: true})
			if err != nil || len(findings) != 1 {
				t.Fatalf("%+v, %v", findings, err)
			}
			f := findings[0]
			if e.Tenant != "t05" || f.Tenant != "t05" || f.Cause != e.Cause.String() || f.Query != "select sum(a) from t where c > ?" || len(f.Explanation) < 100 {
				t.Errorf("told %+v, written %+v", e, f)
			}
			l.quarantined(mode)
			problems, err := testutil.CollectAndLint(l.Warden)
			if n := testutil.ToFloat64(openOnly{l.Warden, e.Cause}); n != 1 || err != nil || len(problems) > 0 {
				t.Errorf("%v are flagged; %v, %v", n, problems, err)
			}
			if n := l.until(0, 100); n != 1 || (<-l.events).Phase != outlier.Closed {
				t.Errorf("%d events behind it", n)
			}
			if findings, err := l.reg.Findings(t.Context(), registry.FindingFilter{Open: true}); err != nil || len(findings) != 0 {
				t.Errorf("%+v, %v", findings, err)
			}
		})
	}
}

func (l *lab) quarantined(mode Mode) {
	l.Helper()
	all, err := l.reg.Quarantined(l.Context(), false)
	switch {
	case err != nil:
		l.Fatal(err)
	case mode == Off && len(all) != 0:
		l.Errorf("%+v", all)
	case mode != Off && (len(all) != 1 || all[0].Tenant != "t05" || all[0].DryRun != (mode == DryRun) || all[0].Reason == ""):
		l.Errorf("%+v", all)
	}
	events, err := l.reg.Events(l.Context(), registry.EventFilter{Object: "quarantine"})
	if err != nil || len(events) != len(all) || len(all) > 0 && events[0].Actor != "warden" {
		l.Errorf("audited %+v, %v", events, err)
	}
}

// openOnly collects one cause's gauge.
type openOnly struct {
	w *Warden
	c outlier.Cause
}

func (o openOnly) Describe(ch chan<- *prometheus.Desc) { ch <- outliers }

func (o openOnly) Collect(ch chan<- prometheus.Metric) {
	o.w.mu.Lock()
	defer o.w.mu.Unlock()
	n := 0
	for _, c := range o.w.open {
		if c == o.c {
			n++
		}
	}
	ch <- prometheus.MustNewConstMetric(outliers, prometheus.GaugeValue, float64(n), o.c.String())
}

// A window has what was done in it, also where a tenant was forgotten in between.
func TestWindows(t *testing.T) {
	t.Parallel()
	c := metrics.New(metrics.Config{IdleAfter: time.Minute})
	w := windows{}
	observe := func(n int) {
		for range n {
			c.Observe(&metrics.Statement{Tenant: "a", Shard: "s", Duration: time.Second, Rows: 2, Class: metrics.ClassTimeout})
		}
	}
	observe(5)
	w.take(c)
	observe(3)
	c.Observe(&metrics.Statement{Tenant: "a", Shard: "s", Class: metrics.ClassLimited})
	got := w.take(c)
	if len(got) != 1 || got[0].Statements != 4 || got[0].Errors != 3 || got[0].Rows != 6 || got[0].Time != 3*time.Second || got[0].Shard != "s" {
		t.Errorf("%+v", got)
	}
	if got := w.take(c); len(got) != 0 {
		t.Errorf("of nothing %+v", got)
	}
	if n := c.Sweep(time.Now().Add(time.Hour)); n != 1 {
		t.Fatalf("%d were forgotten", n)
	}
	observe(2)
	if got := w.take(c); len(got) != 1 || got[0].Statements != 2 {
		t.Errorf("of one that came back %+v", got)
	}
	c.Sweep(time.Now().Add(time.Hour))
	if w.take(c); len(w) != 0 {
		t.Errorf("%d are remembered", len(w))
	}
}

// A started warden reports its process and its usage, and takes itself out.
func TestReports(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *Config) {
		c.Pools = func() []pool.Stats { return []pool.Stats{{Shard: "default", Node: "primary", Open: 3}} }
		c.Rollup = time.Hour
	})
	l.c.Observe(&metrics.Statement{Tenant: "a", Shard: "default", Duration: time.Second, Rows: 7})
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all []registry.Process
	for end := time.Now().Add(20 * time.Second); len(all) == 0 && time.Now().Before(end); {
		var err error
		if all, err = l.reg.Processes(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(all) != 1 || all[0].PID != os.Getpid() || len(all[0].Pools) != 1 || all[0].Pools[0].Open != 3 {
		t.Errorf("%+v", all)
	}
	l.Stop()
	used, err := l.reg.Usage(context.WithoutCancel(t.Context()), registry.UsageFilter{By: registry.ByTenant})
	if err != nil || len(used) != 1 || used[0].Statements() != 1 || used[0].Rows != 7 || used[0].Time != time.Second {
		t.Errorf("%+v, %v", used, err)
	}
	if all, err := l.reg.Processes(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("it is still there: %+v, %v", all, err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "WithMetrics") {
		t.Error(err)
	}
	l := newLab(t, nil)
	if _, err := New(Config{Registry: l.reg, Metrics: l.c, Detector: outlier.Config{Enter: -1}}); !errors.Is(err, outlier.ErrConfig) {
		t.Error(err)
	}
	if _, err := New(Config{Registry: l.reg, Metrics: l.c, Quarantine: 9}); err == nil {
		t.Error("an unknown mode was taken")
	}
}
