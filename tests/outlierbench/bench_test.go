package main

import (
	"math"
	"slices"
	"testing"

	"github.com/gormtenancy/gormtenancy/metrics/outlier"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// A small evaluation, on tuning seeds: the detector keeps its bars, and the
// rules beside it do not, or the runs would be too easy to tell anything.
func TestSmallEvaluation(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	scores := evaluate([]uint64{1, 2}, func(seed uint64) *scenario { return judged(seed, 600, 3) })
	ours := &scores[0]
	if total(ours.injected) != 12 {
		t.Fatalf("%d outliers", total(ours.injected))
	}
	if ours.precision() < 0.9 || ours.recall() < 0.9 {
		t.Errorf("precision %.3f, recall %.3f; wrong %+v, missed %v", ours.precision(), ours.recall(), ours.wrong, ours.missed)
	}
	if m := delay(slices.Concat(ours.delays[:]...), 0.5); m > 30 {
		t.Errorf("median time to detection %.1f s", m)
	}
	for j, s := range scores[1:] {
		if s.precision() > 0.5 {
			t.Errorf("%s: precision %.3f", rivals[j+1].name, s.precision())
		}
	}
}

func TestCleanHour(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := play(clean(102, 200, 1, 3600), 102, []rule{newOurs()})
	if len(s[0].wrong) > 0 || s[0].windows != 1440 {
		t.Errorf("%d windows, %+v", s[0].windows, s[0].wrong)
	}
}

// The same seed is the same world.
func TestScenarioIsDeterministic(t *testing.T) {
	t.Parallel()
	a, b := judged(5, 200, 2), judged(5, 200, 2)
	for range 400 {
		if x, y := a.step(), b.step(); !slices.Equal(x, y) {
			t.Fatal("two runs differ")
		}
	}
}

func TestSeedsAreKeptApart(t *testing.T) {
	t.Parallel()
	seen := map[uint64]string{}
	for name, set := range seedSets {
		for _, seed := range slices.Concat(set.judged, set.clean) {
			if other, twice := seen[seed]; twice {
				t.Errorf("seed %d is in %s and %s", seed, other, name)
			}
			seen[seed] = name
		}
	}
}

// Each kind changes what it is named for.
func TestInjections(t *testing.T) {
	t.Parallel()
	for k := range numKinds {
		plain, altered := during(k, false), during(k, true)
		n, m := float64(plain.Statements), float64(altered.Statements)
		changed := map[kind]bool{
			slowQuery:      altered.Time.Seconds()/m > 3*plain.Time.Seconds()/n && m < 2*n,
			flood:          m > 5*n,
			errorStorm:     float64(altered.Errors) > 0.05*m && float64(plain.Errors) < 0.03*n,
			rowFlood:       float64(altered.Rows)/m > 3*float64(plain.Rows)/n,
			heavyAggregate: altered.Time > 5*plain.Time,
			hog:            altered.Wait > 5*plain.Wait && altered.Time > 5*plain.Time,
		}
		if !changed[k] {
			t.Errorf("%s: %+v, without %+v", kindNames[k], altered, plain)
		}
	}
}

// during sums up ten minutes of a tenant of middle size.
func during(k kind, inject bool) (sum outlier.Sample) {
	f := newFleet(9, 200, 1)
	i := slices.IndexFunc(f.customers, func(c *customer) bool { return c.id == "t0050" })
	if inject {
		in := newInjection(newSource(1), k, f.customers[i], f.now)
		in.until = math.Inf(1)
	}
	for range 120 {
		for _, s := range f.step() {
			if s.Tenant == "t0050" {
				sum.Statements += s.Statements
				sum.Errors += s.Errors
				sum.Rows += s.Rows
				sum.Time += s.Time
				sum.Wait += s.Wait
			}
		}
	}
	return sum
}

// Findings out of an outlier's time are wrong; those in it count once.
func TestScore(t *testing.T) {
	t.Parallel()
	who := &customer{id: "x"}
	i := &injection{kind: flood, who: who, from: 100, until: 200}
	known := map[tenant.ID]*injection{"x": i}
	s := &scenario{fleet: &fleet{}, injections: []*injection{i}}
	var c score
	c.injected[flood] = 2
	seen := map[tenant.ID]bool{}
	for _, x := range []struct {
		at float64
		id tenant.ID
	}{{50, "x"}, {115, "x"}, {150, "x"}, {210, "x"}, {211, "x"}, {150, "y"}} {
		s.now = x.at
		c.enter(opened{id: x.id, cause: outlier.CauseRate}, known[x.id], s, 1, seen)
	}
	if c.found[flood] != 1 || c.named[flood] != 1 || len(c.wrong) != 3 || c.delays[flood][0] != 15 {
		t.Errorf("%+v", c)
	}
	if c.precision() != 0.25 || c.recall() != 0.5 {
		t.Errorf("precision %v, recall %v", c.precision(), c.recall())
	}
	if d := delay([]float64{3, 1, 2}, 0.5); d != 2 || delay(nil, 0.5) != 0 {
		t.Errorf("median %v", d)
	}
}

// The laws have the moments that they should have.
func TestLaws(t *testing.T) {
	t.Parallel()
	r := newSource(1)
	const n = 20_000
	for _, m := range []float64{0.3, 5, 80} {
		checkMoments(t, "poisson", n, m, m, func() float64 { return float64(r.poisson(m)) })
	}
	checkMoments(t, "contaminated normal", n, 0, 1, r.contaminated)
	const sigma = 0.8
	mean := math.Exp(sigma * sigma / 2)
	variance := (math.Exp(sigma*sigma) - 1) * mean * mean
	for _, k := range []int{10, 200} { // all of them drawn, and some of them
		checkMoments(t, "sum", n, float64(k)*mean, float64(k)*variance, func() float64 {
			sum, _ := r.sums(k, 0, sigma, draw)
			return sum
		})
		checkMoments(t, "logs", n, 2*float64(k), float64(k)*sigma*sigma, func() float64 {
			_, logs := r.sums(k, 2, sigma, draw)
			return logs
		})
	}
	w := newWalk(r, 0.5, 50, 5)
	checkMoments(t, "walk", 20*n, 0, 0.25, func() float64 { return w.next(r) })
}

func checkMoments(t *testing.T, law string, n int, mean, variance float64, next func() float64) {
	t.Helper()
	var sum, squares float64
	for range n {
		x := next() - mean
		sum += x
		squares += x * x
	}
	off, v := sum/float64(n), squares/float64(n)
	if math.Abs(off) > 0.05*math.Sqrt(variance) || math.Abs(v/variance-1) > 0.15 {
		t.Errorf("%s: mean off by %.4f, variance %.4f, want %.4f", law, off, v, variance)
	}
}
