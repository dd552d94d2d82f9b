package outlier

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// quietLab is a lab of another configuration, after a number of windows.
func quietLab(t *testing.T, c Config, windows int) *lab {
	t.Helper()
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, d: d, now: time.Unix(0, 0).UTC()}
	for range windows {
		l.step()
	}
	return l
}

func bad(i int, s *Sample) {
	if i == 7 {
		slower(s, 20)
	}
}

// A window of nonsense leaves the history as it is.
func TestNonsenseSpoilsNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, nonsense := range []func(*Sample){
		func(s *Sample) { s.LogTime = math.Inf(-1) },
		func(s *Sample) { s.LogTime = math.NaN() },
		func(s *Sample) { s.Time = -time.Hour },
		func(s *Sample) { s.Wait = -time.Hour },
	} {
		l.change = func(i int, s *Sample) {
			if i == 7 {
				nonsense(s)
			}
		}
		if events := l.step(); len(events) > 0 {
			t.Errorf("%+v", events)
		}
		e, _ := l.d.Explain("t7")
		if _, err := json.Marshal(e); err != nil {
			t.Error(err)
		}
	}
	l.change = bad
	if events := l.found(6); len(events) != 1 || events[0].Cause != CauseLatency {
		t.Errorf("afterwards nothing is found: %+v", events)
	}
}

// One window is no finding, and neither are windows too far apart.
func TestConsecutive(t *testing.T) {
	t.Parallel()
	for every := 5; every < 9; every++ {
		l := newLab(t)
		for step := range 60 {
			l.change = nil
			if step%every == 0 {
				l.change = bad
			}
			if events := l.step(); len(events) > 0 {
				t.Fatalf("each %dth window, the %dth: %+v", every, step, events)
			}
		}
	}
}

// Hysteresis: a finding whose evidence comes and goes is told once.
func TestFindingDoesNotFlap(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.change = bad
	if events := l.found(6); len(events) != 1 || events[0].Phase != Opened {
		t.Fatalf("%+v", events)
	}
	for step := range 120 {
		l.change = bad
		if step%6 == 0 || step%6 == 1 {
			l.change = nil
		}
		for _, e := range l.step() {
			if e.Phase != Changed {
				t.Fatalf("window %d: %+v", step, e)
			}
		}
	}
}

// A finding outlasts its evidence by a while, not by as much as it lasted.
func TestLeaving(t *testing.T) {
	t.Parallel()
	closes := func(c Config, lasts int) (after int) {
		l := quietLab(t, c, 120)
		l.change = bad
		for range lasts {
			l.step()
		}
		for l.change = nil; len(l.d.Open()) > 0 && after < 200; after++ {
			l.step()
		}
		return after
	}
	if n := closes(Config{}, 12); n < 6 {
		t.Errorf("closed after %d windows", n)
	}
	if n := closes(Config{LeaveWindows: 40}, 12); n < 40 {
		t.Errorf("with LeaveWindows of 40, closed after %d windows", n)
	}
	if n := closes(Config{}, 240); n > 24 {
		t.Errorf("after a long time, closed after %d windows", n)
	}
}

func TestChanged(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.change = bad
	l.found(6)
	l.change = func(i int, s *Sample) {
		if bad(i, s); i == 7 {
			s.Errors = 90
		}
	}
	events := l.found(12)
	if len(events) != 1 || events[0].Phase != Changed || events[0].Cause != CauseErrors {
		t.Fatalf("%+v", events)
	}
	if open := l.d.Open(); len(open) != 1 || open[0] != events[0] {
		t.Errorf("open: %+v", open)
	}
}

// Who is gone is no outlier: the finding closes, and no window is judged by zeros.
func TestAbsenceCloses(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.change = func(i int, s *Sample) {
		if bad(i, s); i == 7 {
			s.Errors = 90
		}
	}
	l.found(6)
	l.change = func(i int, s *Sample) {
		if i == 7 {
			s.Statements = 0
		}
	}
	events := l.found(60)
	if len(events) != 1 || events[0].Phase != Closed || events[0].At != l.now || events[0].Since.After(events[0].At) {
		t.Fatalf("%+v", events)
	}
	// When it returns after hours, as it was, nothing is told.
	for range 720 {
		l.step()
	}
	l.change = nil
	if events := l.found(60); len(events) > 0 {
		t.Errorf("it returns: %+v", events)
	}
}

// A shard of few tenants is compared with the fleet; a fleet of few is not judged.
func TestFewTenants(t *testing.T) {
	t.Parallel()
	alone := func(i int, s *Sample) {
		if i == 7 {
			s.Shard = "s2"
		}
	}
	l := quietLab(t, Config{}, 0)
	l.change = alone
	for range 120 {
		l.step()
	}
	l.change = func(i int, s *Sample) { alone(i, s); bad(i, s) }
	if events := l.found(6); len(events) != 1 || events[0].Shard != "s2" {
		t.Errorf("alone on its shard: %+v", events)
	}
	l = quietLab(t, Config{MinTenants: tenants + 1}, 120)
	l.change = bad
	if events := l.found(60); len(events) > 0 {
		t.Errorf("too few: %+v", events)
	}
	if e, _ := l.d.Explain("t7"); e.Flagged || !strings.Contains(e.Summary, "too few") {
		t.Error(e.Summary)
	}
}

// A detector that has just started judges nobody, and explains that.
func TestWarmup(t *testing.T) {
	t.Parallel()
	l := quietLab(t, Config{}, 1)
	l.change = bad
	if events := l.found(58); len(events) > 0 {
		t.Errorf("%+v", events)
	}
	if e, _ := l.d.Explain("t7"); !strings.Contains(e.Summary, "not judged yet") {
		t.Error(e.Summary)
	}
}

// A tenant without a history is found by latency, against its shard; one that moved
// to another shard has none.
func TestNewTenants(t *testing.T) {
	t.Parallel()
	l := quietLab(t, Config{}, 0)
	l.change = func(i int, s *Sample) {
		if i == 7 {
			s.Statements = 0
		}
	}
	for range 120 {
		l.step()
	}
	l.change = func(i int, s *Sample) {
		if i == 7 {
			slower(s, 50)
		}
	}
	if events := l.found(24); len(events) != 1 || events[0].Tenant != "t7" || !strings.Contains(events[0].Evidence, "for want of a history") {
		t.Errorf("new and slow: %+v", events)
	}
	l = newLab(t)
	l.change = func(i int, s *Sample) {
		if i == 7 { // a slower server, but not by as much as a new one must be
			s.Shard = "s2"
			slower(s, 5)
		}
	}
	if events := l.found(60); len(events) > 0 {
		t.Errorf("moved: %+v", events)
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	l := quietLab(t, Config{Forget: 10 * time.Minute}, 1)
	for range 2 * forgetEvery {
		l.now = l.now.Add(window)
		one := l.usual(0)
		l.d.Step(l.now, window, []Sample{one, one})
	}
	if st := l.d.Stats(); st.Tenants != 1 {
		t.Errorf("%+v", st)
	}
	if e, _ := l.d.Explain("t0"); e.Windows != 2*forgetEvery+1 {
		t.Errorf("a sample that came twice in a window counted twice: %d windows", e.Windows)
	}
}

func TestDeterministic(t *testing.T) {
	t.Parallel()
	run := func() (all []Event) {
		l := newLab(t)
		l.change = func(i int, s *Sample) {
			if i%4 == 3 {
				slower(s, float64(10+i))
			}
		}
		for range 12 {
			all = append(all, l.step()...)
		}
		l.change = func(i int, s *Sample) { s.Statements *= uint64(1 - i%4/3) } // they are gone
		for range 60 {
			all = append(all, l.step()...)
		}
		return all
	}
	first := run()
	if len(first) < 20 {
		t.Fatalf("only %d events", len(first))
	}
	for range 3 {
		if again := run(); !reflect.DeepEqual(again, first) {
			t.Fatalf("%+v, then %+v", first, again)
		}
	}
}

// JSON is in snake_case, with names for numbers, and a fingerprint that JavaScript can hold.
func TestJSON(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.change = bad
	l.found(6)
	e, _ := l.d.Explain("t7")
	e.Query.Fingerprint = 1 << 63
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"cause":"latency"`, `"phase":"opened"`, `"evidence_needed":`, `"fingerprint":"9223372036854775808"`, `"finding":{"tenant":"t7"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if Cause(99).String() != "unknown" || Phase(99).String() != "unknown" || tenant.ID("t7") != e.Tenant {
		t.Error("names")
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	x := make([]float32, 101)
	for i := range x {
		x[i] = float32(i * 37 % 101)
	}
	if q := quantile(x, 3, 4); q != 75 {
		t.Errorf("three quarters: %v", q)
	}
	mid, dev := robust(x)
	if mid != 50 || math.Abs(float64(dev)-25*madScale) > 1e-3 {
		t.Errorf("median %v, deviation %v", mid, dev)
	}
	if quantile(nil, 1, 2) != 0 {
		t.Error("of nothing")
	}
}
