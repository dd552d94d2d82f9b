package outlier

import (
	"math"
	"testing"
	"time"
)

// What does not last, and could be one of the bursts that all have, is no finding; what
// lasts is one.
func TestBursts(t *testing.T) {
	t.Parallel()
	burst := func(i int, s *Sample) {
		if i == 7 {
			s.Statements, s.Rows, s.Time, s.LogTime = s.Statements*8, s.Rows*8, s.Time*8, s.LogTime*8
		}
	}
	l := newLab(t)
	for range 3 {
		l.change = burst
		if events := l.found(10); len(events) > 0 {
			t.Fatalf("a short burst: %+v", events)
		}
		l.change = nil
		if events := l.found(60); len(events) > 0 {
			t.Fatalf("after it: %+v", events)
		}
	}
	l.change = burst
	if events := l.found(30); len(events) != 1 || events[0].Cause != CauseRate {
		t.Errorf("a long burst: %+v", events)
	}
}

// Two monstrous statements in a row, and a user who tries what fails some times, are none.
func TestBlips(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(step int, s *Sample){
		"two monstrous statements": func(step int, s *Sample) {
			if step < 2 {
				s.Time += time.Minute
			}
		},
		"a window of errors": func(step int, s *Sample) {
			n := uint64(3)
			if step == 0 {
				n, s.Errors = 12, 12
			}
			*s = Sample{Tenant: s.Tenant, Shard: s.Shard, Statements: n, Rows: 10 * n, Errors: s.Errors, Time: time.Duration(n) * 2 * time.Millisecond, LogTime: float64(n) * math.Log(0.002)}
		},
		"three errors in each of three": func(step int, s *Sample) {
			if step < 3 {
				*s = Sample{Tenant: s.Tenant, Shard: s.Shard, Statements: 5, Rows: 50, Errors: 3, Time: 10 * time.Millisecond, LogTime: 5 * math.Log(0.002)}
			}
		},
	} {
		l := newLab(t)
		step := 0
		l.change = func(i int, s *Sample) {
			if i == 7 {
				change(step, s)
			}
		}
		for ; step < 30; step++ {
			if events := l.step(); len(events) > 0 {
				t.Errorf("%s: %+v", name, events)
				break
			}
		}
	}
}

// Victims of the same trouble differ by a lot: that is no deviation of each.
func TestVictimsDiffer(t *testing.T) {
	t.Parallel()
	for name, times := range map[string]func(i int) float64{
		"evenly spread": func(i int) float64 { return math.Exp(0.25 * float64(i%10)) },
		"with a tail": func(i int) float64 {
			if i%20 == 19 {
				return 30
			}
			return math.Exp(0.25 * float64(i%10))
		},
	} {
		l := newLab(t)
		l.change = func(i int, s *Sample) { slower(s, times(i)) }
		if events := l.found(60); len(events) > 0 {
			t.Errorf("%s: %+v", name, events)
		}
	}
}

// Tenants of tiny consumption harm nobody, however much they grow; errors of a whole shard
// are no tenant's.
func TestHarmless(t *testing.T) {
	t.Parallel()
	l := quietLab(t, Config{}, 0)
	tiny := func(i int, s *Sample, n uint64) {
		if i == 7 {
			*s = Sample{Tenant: s.Tenant, Shard: s.Shard, Statements: n, Rows: n, Time: time.Duration(n) * 2 * time.Millisecond, LogTime: float64(n) * math.Log(0.002)}
		}
	}
	l.change = func(i int, s *Sample) { tiny(i, s, 1) }
	for range 240 {
		l.step()
	}
	l.change = func(i int, s *Sample) { tiny(i, s, 20) }
	if events := l.found(120); len(events) > 0 {
		t.Errorf("tiny: %+v", events)
	}
	for name, errors := range map[string]func(i int) uint64{
		"a failover":           func(i int) uint64 { return uint64(20 + i%10) },
		"half of all":          func(i int) uint64 { return uint64(45 + i%10) },
		"a shard that is down": func(int) uint64 { return 100 },
		"more than statements": func(int) uint64 { return 200 },
	} {
		l = newLab(t)
		l.change = func(i int, s *Sample) { s.Errors = errors(i) }
		if events := l.found(60); len(events) > 0 {
			t.Errorf("%s: %+v", name, events)
		}
	}
}

// Wait is suffered: without database time of its own nobody is its cause.
func TestWaitIsSuffered(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.change = func(i int, s *Sample) {
		if i == 7 {
			s.Wait = time.Minute
		}
	}
	if events := l.found(60); len(events) > 0 {
		t.Errorf("%+v", events)
	}
}
