package prometheus

import (
	"strings"
	"testing"

	"github.com/gormtenancy/gormtenancy/metrics"
)

// Every query of the dashboard and every rule is understood by a real Prometheus, and
// finds what the application did.
func TestQueries(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.scraped(func() { app.must(t) })
	s.dashboard(t)
	s.rules(t)
	s.sums(t)
}

func (s *server) dashboard(t *testing.T) {
	fill := strings.NewReplacer("$__rate_interval", "30s", "$shard", ".*")
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			expr := fill.Replace(q.Expr)
			found, err := s.query(expr)
			if err != nil {
				t.Errorf("%s: %s: %v", p.Title, expr, err)
			}
			if len(found) == 0 {
				t.Errorf("%s: %s finds nothing", p.Title, expr)
			}
		}
	}
}

// rules wants all of them evaluated. Recorded ones have values; alerts need not: most
// find nothing as long as all is well.
func (s *server) rules(t *testing.T) {
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Query, Type, Health, LastError string }
		}
	}
	done := func() bool {
		if err := s.ask("/api/v1/rules", nil, &data); err != nil {
			t.Fatal(err)
		}
		for _, g := range data.Groups {
			for _, r := range g.Rules {
				if r.Health == "unknown" {
					return false
				}
			}
		}
		return true
	}
	s.until("all rules are evaluated", done)
	seen := map[string]int{}
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			seen[r.Type]++
			if r.Health != "ok" {
				t.Errorf("%s: %s: %s", r.Name, r.Health, r.LastError)
			}
			found, err := s.query(r.Query)
			if err != nil || r.Type == "recording" && len(found) == 0 {
				t.Errorf("%s: %v, found %v", r.Name, err, found)
			}
			if r.Type == "recording" {
				s.until(r.Name+" is recorded", func() bool { found, err := s.query(r.Name); return err == nil && len(found) > 0 })
			}
		}
	}
	if seen["recording"] < 6 || seen["alerting"] < 9 {
		t.Errorf("rules by type: %v", seen)
	}
}

// sums wants what is stored to be exactly what the application counted, as tenants
// and as shards.
func (s *server) sums(t *testing.T) {
	for expr, want := range map[string]func() uint64{
		"sum(gormtenancy_tenant_statements_total)":                 func() uint64 { return counted((*metrics.Usage).Count) },
		"sum(gormtenancy_statements_total)":                        func() uint64 { return counted((*metrics.Usage).Count) },
		"sum(gormtenancy_statement_duration_seconds_count)":        func() uint64 { return counted((*metrics.Usage).Count) },
		"sum(gormtenancy_tenant_errors_total)":                     func() uint64 { return counted((*metrics.Usage).Failed) },
		"sum(gormtenancy_statement_errors_total)":                  func() uint64 { return counted((*metrics.Usage).Failed) },
		"sum(gormtenancy_tenant_rows_total)":                       func() uint64 { return app.plugin.Metrics().Totals().Rows },
		"sum(gormtenancy_round_trips_total)":                       func() uint64 { return app.plugin.Metrics().Totals().RoundTrips },
		`sum(gormtenancy_statements_total{role="replica"})`:        func() uint64 { return app.plugin.Metrics().Totals().Replica },
		"sum(gormtenancy_commits_total)":                           func() uint64 { return app.plugin.Metrics().Totals().Commits },
		`sum(gormtenancy_statement_errors_total{class="limited"})`: app.refused,
	} {
		s.until(expr, func() bool { return s.value(expr) == float64(want()) })
		if want() == 0 {
			t.Errorf("%s: nothing happened", expr)
		}
	}
}

// With native histograms, Prometheus 2.42 takes these and no classic buckets: their
// queries find nothing there, unless it is told to take both (from 2.45 on).
func TestNativeHistogram(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--enable-feature=native-histograms")
	s.until("the histogram's count", func() bool {
		n := s.value("histogram_count(sum(gormtenancy_statement_duration_seconds))")
		u := app.plugin.Metrics().Totals()
		return n > 0 && n == float64(u.Count())
	})
	p99 := s.value("histogram_quantile(0.99, sum(gormtenancy_statement_duration_seconds))")
	mean := s.value("histogram_sum(sum(gormtenancy_statement_duration_seconds)) / histogram_count(sum(gormtenancy_statement_duration_seconds))")
	if mean <= 0 || p99 < mean {
		t.Errorf("mean %v s, 99%% below %v s", mean, p99)
	}
}

func counted(of func(*metrics.Usage) uint64) uint64 {
	u := app.plugin.Metrics().Totals()
	return of(&u)
}
