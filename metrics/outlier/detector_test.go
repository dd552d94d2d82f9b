package outlier

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

const window = 5 * time.Second

// lab is a shard of tenants that all do much the same, and a detector that has seen
// them for a while.
type lab struct {
	*testing.T
	d   *Detector
	now time.Time
	n   uint64
	// change makes something else of a tenant's window.
	change func(i int, s *Sample)
}

const tenants = 40

func newLab(t *testing.T) *lab {
	t.Helper()
	d, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, d: d, now: time.Unix(0, 0).UTC()}
	for range 120 {
		if events := l.step(); len(events) > 0 {
			t.Fatalf("while all is quiet: %+v", events)
		}
	}
	return l
}

func id(i int) tenant.ID { return tenant.ID(fmt.Sprint("t", i)) }

// usual is what tenant i does in a window: 100 statements of 2 ms, with some noise that
// is the same in each run.
func (l *lab) usual(i int) Sample {
	l.n++
	wave := 1 + 0.1*math.Sin(float64(l.n)*1.7+float64(i))
	const n = 100
	took := 0.002 * wave
	return Sample{
		Tenant: id(i), Shard: "s1", Statements: n, Rows: 1000, Time: time.Duration(n * took * 1e9), LogTime: n * math.Log(took),
		Query: Query{Fingerprint: uint64(i + 1), Text: "select ?"},
	}
}

func (l *lab) step() []Event {
	var all []Sample
	for i := range tenants {
		s := l.usual(i)
		if l.change != nil {
			l.change(i, &s)
		}
		if s.Statements > 0 {
			all = append(all, s)
		}
	}
	l.now = l.now.Add(window)
	return l.d.Step(l.now, window, all)
}

// slower makes a tenant's statements take times longer.
func slower(s *Sample, times float64) {
	s.Time = time.Duration(float64(s.Time) * times)
	s.LogTime += float64(s.Statements) * math.Log(times)
}

// found runs until something is told, for as many windows at most.
func (l *lab) found(windows int) []Event {
	for range windows {
		if events := l.step(); len(events) > 0 {
			return events
		}
	}
	return nil
}

// Each cause is named, with the query, within 30 s; nobody else is.
func TestCauses(t *testing.T) {
	t.Parallel()
	for cause, change := range map[Cause]func(*Sample){
		CauseLatency: func(s *Sample) { slower(s, 6) },
		CauseDatabaseTime: func(s *Sample) { // one heavy statement among many
			s.Time += 20 * time.Second
			s.Statements++
			s.LogTime += math.Log(20)
		},
		CauseErrors: func(s *Sample) { s.Errors = 40 },
		CauseRows:   func(s *Sample) { s.Rows *= 50 },
		CauseRate: func(s *Sample) {
			s.Statements, s.Rows, s.Time, s.LogTime = s.Statements*20, s.Rows*20, s.Time*20, s.LogTime*20
		},
		CauseConnections: func(s *Sample) {
			s.Wait = 30 * time.Second
			s.Time += 60 * time.Second
		},
	} {
		l := newLab(t)
		l.change = func(i int, s *Sample) {
			if i == 7 {
				change(s)
			}
		}
		events := l.found(6)
		if len(events) != 1 || events[0].Tenant != "t7" || events[0].Phase != Opened || events[0].Cause != cause || events[0].Query.Fingerprint != 8 {
			t.Errorf("%s: %+v", cause, events)
			continue
		}
		e, known := l.d.Explain("t7")
		if !known || !e.Flagged || e.Cause != cause || e.Summary == "" {
			t.Errorf("%s: explained %+v", cause, e)
		}
		// It closes when that is over, and not before.
		if again := l.found(3); len(again) > 0 && again[0].Phase == Closed {
			t.Errorf("%s: closed while it lasts", cause)
		}
		l.change = nil
		if events := l.found(60); len(events) != 1 || events[0].Phase != Closed || events[0].Tenant != "t7" {
			t.Errorf("%s: afterwards %+v", cause, events)
		}
	}
}

// What a neighbour or a deploy does to all, evenly or not, is nobody's fault.
func TestVictimsAreNotFlagged(t *testing.T) {
	t.Parallel()
	for name, times := range map[string]func(i int) float64{
		"evenly":   func(int) float64 { return 5 },
		"unevenly": func(i int) float64 { return 2 + float64(i%5) },
	} {
		l := newLab(t)
		l.change = func(i int, s *Sample) { slower(s, times(i)) }
		if events := l.found(60); len(events) > 0 {
			t.Errorf("%s: %+v", name, events)
		}
		// Who does it is found all the same.
		l.change = func(i int, s *Sample) {
			if slower(s, times(i)); i == 3 {
				s.Time += 60 * time.Second
			}
		}
		if events := l.found(24); len(events) != 1 || events[0].Tenant != "t3" {
			t.Errorf("%s: the neighbour: %+v", name, events)
		}
	}
}

// What is usual for a tenant, grows slowly, is short, or tiny, is no finding.
func TestNotFlagged(t *testing.T) {
	t.Parallel()
	begin := 0
	for name, change := range map[string]func(i, step int, s *Sample){
		"a large tenant that is new": func(i, step int, s *Sample) {
			if i == 0 && step < 120 {
				s.Statements = 0
			} else if i == 0 {
				s.Statements, s.Rows, s.Time, s.LogTime = s.Statements*100, s.Rows*100, s.Time*100, s.LogTime*100
			}
		},
		"growth": func(i, step int, s *Sample) {
			if f := math.Exp2(float64(step) / 720); i == 0 {
				s.Statements = uint64(float64(s.Statements) * f)
				s.Time, s.LogTime = time.Duration(float64(s.Time)*f), s.LogTime*f
			}
		},
		"one monstrous statement": func(i, step int, s *Sample) {
			if i == 0 && step == 140 {
				s.Time += time.Minute
			}
		},
		"one error of few statements": func(i, step int, s *Sample) {
			if i == 0 {
				s.Statements, s.Rows, s.LogTime, s.Time = 3, 3, 3*math.Log(0.002), 6*time.Millisecond
				if step%50 == 0 {
					s.Errors = 1
				}
			}
		},
	} {
		d, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		l := &lab{T: t, d: d, now: time.Unix(0, 0).UTC()}
		step := begin
		l.change = func(i int, s *Sample) { change(i, step, s) }
		for ; step < 720; step++ {
			if events := l.step(); len(events) > 0 {
				t.Errorf("%s: window %d: %+v", name, step, events)
				break
			}
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	d, err := New(Config{MaxTenants: 10})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, d: d, now: time.Unix(0, 0).UTC()}
	l.step()
	if st := d.Stats(); st.Tenants != 10 || st.Refused != tenants-10 {
		t.Errorf("%+v", st)
	}
	if _, known := d.Explain("nobody"); known {
		t.Error("nobody is explained")
	}
	for _, bad := range []Config{{Enter: 1, Leave: 2}, {VolumeFactor: 0.5}, {HalfLife: -1}, {ErrorRatio: math.NaN()}} {
		if _, err := New(bad); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// BenchmarkStep takes windows of 10,000 tenants that all have a history.
func BenchmarkStep(b *testing.B) {
	d, _ := New(Config{})
	all := make([]Sample, 10_000)
	for i := range all {
		all[i] = Sample{Tenant: id(i), Shard: fmt.Sprint("s", i%5), Statements: 10, Time: time.Duration(i%100+1) * time.Millisecond, LogTime: -60}
	}
	now := time.Unix(0, 0)
	step := func() {
		now = now.Add(window)
		d.Step(now, window, all)
	}
	for range 70 {
		step()
	}
	for b.Loop() {
		step()
	}
}
