package main

import (
	"math"
	"time"

	"github.com/gormtenancy/gormtenancy/metrics/outlier"
)

// growFor is how many seconds a customer takes that grows to three times its load.
const growFor = 3600

// draw is how many statements of a window are drawn one by one.
const draw = 32

// moment is what a customer does in one window.
type moment struct {
	rate, mu, rows, errors float64

	odd            float64 // share of statements that are different
	oddMu, oddRows float64 // in log seconds and log rows
	rowCost        float64 // seconds of work per row of these
	extra          int     // heavy statements
	extraMu        float64
	extraWaits     bool    // for locks and the like: they take the server no work
	held, queued   float64 // connections that transactions hold, and wait for
}

// moment draws a customer's habits at this time of day.
func (c *customer) moment(f *fleet, w weather) moment {
	r, now := f.r, f.now
	m := moment{mu: c.mu + c.pace.next(r), rows: c.rowMu, errors: c.errors}
	rate := c.amplitude*math.Sin(2*math.Pi*(now-c.phase)/day) + c.growth*(now-f.start) + c.load.next(r)
	rate += math.Log(3) * min(max((now-c.grows)/growFor, 0), 1)
	if c.burst.on(r, now, day/2, 10, 60, 1.5, 3) {
		rate += math.Log(c.burst.factor)
	}
	if c.job.on(r, now, day, 120, 600, 1.3, 2.5) {
		m.mu += math.Log(c.job.factor) / 2
		m.rows += math.Log(c.job.factor)
	}
	m.rate = c.rate * math.Exp(rate) * w.rate
	return m
}

// step adds a customer's window to the fleet's samples.
func (c *customer) step(f *fleet, s *server, w weather) {
	m := c.moment(f, w)
	if c.wrong != nil {
		c.wrong.alter(f, c, &m)
	}
	r := f.r
	n := r.poisson(m.rate * secs)
	odd := min(n, r.poisson(float64(n)*m.odd))
	work, logs := r.sums(n-odd, m.mu, c.sigma, draw)
	rows, _ := r.sums(n-odd, m.rows, c.rowSigma, draw/2)
	if odd > 0 {
		oddWork, oddLogs := r.sums(odd, m.mu+m.oddMu, c.sigma, draw)
		oddRows, _ := r.sums(odd, m.rows+m.oddRows, c.rowSigma, draw/2)
		work, logs, rows = work+oddWork+oddRows*m.rowCost, logs+oddLogs, rows+oddRows
	}
	for range r.poisson(float64(n) * c.tail) {
		work += min(20, 20*math.Exp(m.mu)*math.Pow(r.Float64(), -1/1.6))
	}
	s.work += work / secs
	if m.extra > 0 {
		heavy, heavyLogs := r.sums(m.extra, m.extraMu, 0.5, draw)
		work, logs, n = work+heavy, logs+heavyLogs, n+m.extra
		if !m.extraWaits {
			s.work += heavy / secs
		}
	}
	slower := c.sensitivity * math.Log(w.slower)
	used := work * math.Exp(slower)
	s.busy += max(0, used/secs-m.held)
	s.held += m.held
	s.statements += n
	wait := (float64(n)*w.wait*(1+c.inFlight)*r.uniform(0.7, 1.3) + m.queued*secs)
	c.inFlight = used / secs
	if n == 0 {
		return
	}
	f.samples = append(f.samples, outlier.Sample{
		Tenant: c.id, Shard: s.name, Statements: uint64(n), Errors: c.fail(f, n, 1-(1-m.errors)*(1-w.fails)),
		Rows: uint64(rows), Time: seconds(used), Wait: seconds(wait), LogTime: logs + float64(n)*slower,
	})
}

// fail draws how many of n statements fail. Now and then a user tries what
// cannot work several times.
func (c *customer) fail(f *fleet, n int, ratio float64) uint64 {
	failed := f.r.poisson(float64(n) * ratio)
	if f.now >= c.blip.next {
		failed += 3 + f.r.IntN(6)
		c.blip.plan(f.r, f.now, day)
	}
	return uint64(min(failed, n))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
