package metrics

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// scrape is one gathering: the values of all series by name and labels.
type scrape map[string]float64

// gather also checks that what was registered is what comes (a pedantic registry).
func gather(t testing.TB, reg prometheus.Gatherer) (counters, all scrape) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counters, all = scrape{}, scrape{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := strings.TrimPrefix(f.GetName(), namespace)
			for _, l := range m.GetLabel() {
				key += "," + l.GetValue()
			}
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				counters[key] = m.GetCounter().GetValue()
			case dto.MetricType_HISTOGRAM:
				h := m.GetHistogram()
				counters[key] = float64(h.GetSampleCount())
				for _, b := range h.GetBucket() {
					counters[fmt.Sprint(key, ",", b.GetUpperBound())] = float64(b.GetCumulativeCount())
				}
			default:
				all[key] = m.GetGauge().GetValue()
			}
		}
	}
	for key, v := range counters {
		all[key] = v
	}
	return counters, all
}

// sum adds the series of a name.
func (s scrape) sum(name string) (total float64) {
	for key, v := range s {
		if strings.HasPrefix(key, name+",") && strings.Count(key, ",") <= 3 && !strings.Contains(key, ".") {
			total += v
		}
	}
	return total
}

// series returns the tenants that have some.
func (s scrape) series() map[string]bool {
	found := map[string]bool{}
	for key := range s {
		if id, ok := strings.CutPrefix(key, "tenant_rows_total,"); ok && id[0] != '_' {
			found[id] = true
		}
	}
	return found
}

func register(t testing.TB, c *Collector) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(c); err != nil {
		t.Fatal(err)
	}
	return reg
}

// TestSumsAreExact is the bar: 100,000 statements over 5,000 tenants, from several
// goroutines, while tenants get series, lose them and are evicted. No counter ever
// goes down, and the sums are exact.
func TestSumsAreExact(t *testing.T) {
	t.Parallel()
	const statements, tenants, goroutines, chunk = 100_000, 5000, 4, 250
	names := ids(tenants)
	c := New(Config{Top: 20, Linger: 40 * time.Second, IdleAfter: 10 * time.Minute, Named: names[4990:4995]})
	reg := register(t, c)
	var clock atomic.Int64
	var wg sync.WaitGroup
	chunks := make(chan int, goroutines)
	for g := range goroutines {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 11))
			for range chunks {
				for range chunk {
					// Who is busy changes all the time.
					id := names[(int(clock.Load())*7+int(float64(tenants)*r.Float64()*r.Float64()*r.Float64()))%tenants]
					s := Statement{Tenant: id, Shard: fmt.Sprintf("eu-%d", r.IntN(3)), Kind: Kind(r.IntN(4)), Duration: latency(r), Rows: 1, RoundTrips: 1, Replica: r.IntN(3) == 0}
					if r.IntN(10) == 0 {
						s.Class = Class(1 + r.IntN(9))
					}
					c.Observe(&s)
				}
			}
		})
	}
	seen, scrapes, most, evicted := map[string]bool{}, 0, 0, 0
	var last scrape
	check := func() {
		counters, all := gather(t, reg)
		for key, v := range last {
			if now, ok := counters[key]; ok && now < v {
				t.Errorf("%s went from %v to %v", key, v, now)
			}
		}
		last, scrapes = counters, scrapes+1
		now := all.series()
		for id := range now {
			seen[id] = true
		}
		most = max(most, len(now))
		if got := all["tenants_exposed"]; int(got) != len(now) {
			t.Errorf("%v tenants exposed, want %d", got, len(now))
		}
	}
	for i := range statements / chunk {
		chunks <- i
		if i%goroutines != 0 {
			continue
		}
		c.at(time.Duration(clock.Add(10)) * time.Second)
		check()
		if scrapes%5 == 0 {
			evicted += c.Sweep(c.base.Add(time.Duration(clock.Load()) * time.Second))
		}
	}
	close(chunks)
	wg.Wait()
	c.at(time.Duration(clock.Load()+3600) * time.Second)
	check()
	evicted += c.Sweep(c.base.Add(time.Duration(clock.Load()+3600) * time.Second))
	check()
	t.Logf("%d scrapes, %d tenants had series, at most %d at a time, %d evicted", scrapes, len(seen), most, evicted)
	for _, name := range []string{"tenant_statements_total", "statements_total", "statement_duration_seconds", "tenant_rows_total", "rows_total", "round_trips_total"} {
		if got := last.sum(name); got != statements {
			t.Errorf("sum of %s is %v, want %d", name, got, statements)
		}
	}
	u := c.Totals()
	if got := last.sum("tenant_errors_total"); got != float64(u.Failed()) || last.sum("statement_errors_total") != got {
		t.Errorf("%v errors by tenant, %v by shard, want %d", got, last.sum("statement_errors_total"), u.Failed())
	}
	if got := last.sum("tenant_database_seconds_total"); !near(got, u.DatabaseTime().Seconds(), 1e-9) {
		t.Errorf("%v s, want %v", got, u.DatabaseTime())
	}
	if most > 45 || len(seen) < 60 || evicted < 1000 || scrapes < 10 {
		t.Errorf("too little happened: %d at most, %d seen, %d evicted, %d scrapes", most, len(seen), evicted, scrapes)
	}
}

func TestSeriesComeAndGo(t *testing.T) {
	t.Parallel()
	c := New(Config{Top: 1, Linger: time.Minute})
	c.at(0)
	reg := register(t, c)
	run := func(id tenant.ID, n int) {
		for range n {
			c.Observe(&Statement{Tenant: id, Duration: time.Second})
		}
	}
	const name = "tenant_statements_total,read,"
	expect := func(what string, want map[string]float64) {
		t.Helper()
		_, all := gather(t, reg)
		for _, id := range []string{"a", "b", "c", "_other", "_former", "_shared"} {
			got, ok := all[name+id]
			if w, wanted := want[id]; got != w || ok != wanted && w != 0 {
				t.Errorf("%s: %s has %v, want %v", what, id, got, w)
			}
		}
	}
	run("a", 10)
	run("", 1)
	expect("first", map[string]float64{"_other": 10, "_shared": 1})
	run("a", 5)
	expect("a has its own", map[string]float64{"a": 5, "_other": 10, "_shared": 1})
	run("b", 100)
	run("a", 1)
	expect("b overtakes", map[string]float64{"a": 6, "_other": 110, "_shared": 1})
	c.at(50 * time.Second)
	run("b", 1)
	run("a", 1)
	expect("a lingers", map[string]float64{"a": 7, "b": 1, "_other": 110, "_shared": 1})
	c.at(2 * time.Minute)
	run("a", 1)
	expect("a is former", map[string]float64{"b": 1, "_former": 8, "_other": 110, "_shared": 1})
	run("a", 1)
	c.Flag("a")
	expect("a is flagged", map[string]float64{"b": 1, "_former": 8, "_other": 111, "_shared": 1})
	run("a", 1)
	run("c", 1000)
	expect("c pushes b out", map[string]float64{"a": 1, "_former": 9, "_other": 1111, "_shared": 1})
	c.Unflag("a")
	c.Sweep(c.base.Add(time.Hour))
	expect("all are gone", map[string]float64{"_former": 10, "_other": 1111, "_shared": 1})
}

func TestNamedTenantsHaveAllTheirCounts(t *testing.T) {
	t.Parallel()
	c := New(Config{Top: -1, Named: []tenant.ID{"acme"}})
	reg := register(t, c)
	c.Observe(&Statement{Tenant: "other", Duration: time.Second})
	c.Observe(&Statement{Tenant: "acme", Duration: 8 * time.Millisecond, Class: ClassTimeout, Wait: time.Second})
	_, all := gather(t, reg)
	for key, want := range map[string]float64{
		"tenant_statements_total,read,acme": 1, "tenant_errors_total,timeout,acme": 1, "tenant_wait_seconds_total,acme": 1, "tenant_statements_total,read,_other": 1,
		"tenant_errors_total,timeout,_other": 0, "tenants_exposed": 1, "tenants_tracked": 2, "tenants_evicted_total": 0, "connection_wait_seconds_total,_none": 1,
	} {
		if got, ok := all[key]; !ok || got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	if got := all["tenant_latency_seconds,99,acme"]; !near(got, 0.008, 0.05) {
		t.Errorf("p99 is %v", got)
	}
}

func TestExemplars(t *testing.T) {
	t.Parallel()
	c := New(Config{})
	reg := register(t, c)
	c.Observe(&Statement{Tenant: "a", Duration: time.Second, TraceID: "first"})
	c.Observe(&Statement{Tenant: "b", Duration: time.Second, TraceID: "second"})
	c.Observe(&Statement{Tenant: "b", Duration: time.Minute, TraceID: "slow"})
	c.Observe(&Statement{Tenant: "b", Duration: time.Millisecond, TraceID: strings.Repeat("x", 200)})
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, b := range m.GetHistogram().GetBucket() {
				if x := b.GetExemplar(); x != nil {
					found[x.GetLabel()[0].GetValue()] = b.GetUpperBound()
				}
			}
			if n := len(m.GetHistogram().GetExemplars()); m.Histogram != nil && n != 2 {
				t.Errorf("%d native exemplars", n)
			}
		}
	}
	if len(found) != 2 || found["second"] != 1 || found["slow"] < 1e300 {
		t.Errorf("exemplars %v", found)
	}
}

func TestLint(t *testing.T) {
	t.Parallel()
	c := New(Config{})
	for _, s := range workload(100, 1<<11) {
		c.Observe(&s)
	}
	problems, err := testutil.GatherAndLint(register(t, c))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
