package main

import (
	"math"
	"time"

	"github.com/gormtenancy/gormtenancy/metrics/outlier"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// opened is a finding as a rule reports it.
type opened struct {
	id    tenant.ID
	cause outlier.Cause
	why   string
}

// rule is a way to find outliers.
type rule interface {
	step(at time.Time, samples []outlier.Sample) []opened
}

// ours is the detector, with its defaults.
type ours struct{ *outlier.Detector }

func newOurs() rule {
	d, err := outlier.New(outlier.Config{})
	if err != nil {
		panic(err) // the defaults are valid
	}
	return ours{d}
}

func (o ours) step(at time.Time, samples []outlier.Sample) (found []opened) {
	for _, e := range o.Step(at, window, samples) {
		if e.Phase == outlier.Opened {
			found = append(found, opened{e.Tenant, e.Cause, e.Evidence})
		}
	}
	return found
}

// latch is the hysteresis that the simple rules get as well: two windows
// over the threshold open a finding, six below it close it.
type latch struct {
	over, under int
	open        bool
}

func (l *latch) take(over bool) (opens bool) {
	if !over {
		l.over = 0
		if l.under++; l.under >= 6 {
			l.open = false
		}
		return false
	}
	l.under = 0
	l.over++
	opens = l.over >= 2 && !l.open
	l.open = l.open || opens
	return opens
}

// fixed is what an operator writes down: one limit for everybody.
type fixed struct{ latches map[tenant.ID]*latch }

func newFixed() rule { return fixed{map[tenant.ID]*latch{}} }

// The limits: a connection and a half in use, 500 statements a second, 20,000 rows a second,
// 50 ms per statement, one error in ten, one waiting all the time.
func (f fixed) step(_ time.Time, samples []outlier.Sample) (found []opened) {
	for i := range samples {
		s := &samples[i]
		n := float64(s.Statements)
		over := s.Time.Seconds() > 1.5*secs || n > 500*secs || float64(s.Rows) > 20_000*secs ||
			s.Time.Seconds() > 0.05*n && n >= 5 || float64(s.Errors) > 0.1*n && s.Errors >= 3 || s.Wait.Seconds() > secs
		l := f.latches[s.Tenant]
		if l == nil {
			l = &latch{}
			f.latches[s.Tenant] = l
		}
		if l.take(over) {
			found = append(found, opened{id: s.Tenant})
		}
	}
	return found
}

// sigma3 is the mean plus three standard deviations of each tenant's own
// history, of each figure, with the detector's half-life and warm-up.
type sigma3 struct{ tenants map[tenant.ID]*history }

type history struct {
	mean, variance [6]float64
	n              float64
	latch          latch
}

func newSigma3() rule { return sigma3{map[tenant.ID]*history{}} }

func (s sigma3) step(_ time.Time, samples []outlier.Sample) (found []opened) {
	for i := range samples {
		h := s.tenants[samples[i].Tenant]
		if h == nil {
			h = &history{}
			s.tenants[samples[i].Tenant] = h
		}
		if h.step(&samples[i]) {
			found = append(found, opened{id: samples[i].Tenant})
		}
	}
	return found
}

func (h *history) step(s *outlier.Sample) bool {
	n := float64(max(1, s.Statements))
	figures := [6]float64{s.Time.Seconds(), n, float64(s.Rows), s.Time.Seconds() / n, float64(s.Errors) / n, s.Wait.Seconds() / n}
	const warm, memory = 60, 0.998
	over := false
	for i, x := range figures {
		over = over || h.n >= warm && x > h.mean[i]+3*math.Sqrt(h.variance[i])
	}
	rate := max(1-memory, 1/(h.n+1))
	for i, x := range figures {
		d := x - h.mean[i]
		h.mean[i] += rate * d
		h.variance[i] += rate * (d*d - h.variance[i])
	}
	h.n++
	return h.latch.take(over)
}
