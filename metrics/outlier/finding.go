package outlier

import (
	"math"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// finding is a flagged tenant's.
type finding struct {
	event  Event // as told last
	quiet  int   // consecutive windows below Leave
	differ int   // consecutive windows in which it would be told differently
}

const (
	changeAfter = 3 // windows, until a finding is told differently
	changeTimes = 2 // in magnitude
	dominates   = 2 // database time that rose by this power of what latency did is not all statements'
	causing     = 2 // who causes others' wait has this many times its usual database time
)

// follow opens, changes or closes the tenant's finding.
func (d *Detector) follow(a *active) (Event, bool) {
	t := a.t
	cause, by := t.cause(a, &d.cfg)
	switch {
	case t.finding == nil && cause == CauseNone:
		return Event{}, false
	case t.finding == nil:
		t.finding = &finding{event: t.tell(a.s, Opened, cause, by, &d.cfg, d.now)}
		d.open[a.s.Tenant] = t
		return t.finding.event, true
	case cause == CauseNone:
		return d.leave(a.s.Tenant, t)
	}
	t.finding.quiet = 0
	return t.change(t.tell(a.s, Changed, cause, by, &d.cfg, d.now))
}

// change tells a finding again if it has been another one for a while.
func (t *state) change(e Event) (Event, bool) {
	f := t.finding
	times := math.Abs(math.Log(e.Magnitude / f.event.Magnitude))
	if e.Cause == f.event.Cause && times < math.Log(changeTimes) {
		f.differ = 0
		return Event{}, false
	}
	if f.differ++; f.differ < changeAfter {
		return Event{}, false
	}
	f.differ, f.event = 0, e
	return e, true
}

// leave closes a finding that has been without evidence for long enough.
func (d *Detector) leave(id tenant.ID, t *state) (Event, bool) {
	f := t.finding
	f.differ = 0
	if t.score() >= float32(d.cfg.Leave) {
		f.quiet = 0
		return Event{}, false
	}
	if f.quiet++; f.quiet < d.cfg.LeaveWindows {
		return Event{}, false
	}
	e := f.event
	e.Phase, e.At = Closed, d.now
	t.finding = nil
	delete(d.open, id)
	return e, true
}

// score is the most evidence there is.
func (t *state) score() float32 {
	most := t.failures.score
	for i := range t.levels {
		if signal(i) != sigWait { // suffered, unless something else tells otherwise
			most = max(most, t.levels[i].score)
		}
	}
	return most
}

// cause names what the tenant is flagged for, and the signal that shows it. Several
// signals rise together; the one that explains the others is it.
func (t *state) cause(a *active, c *Config) (Cause, signal) {
	var in [numSignals]bool
	for i := range in {
		in[i] = t.entered(signal(i), a, c)
	}
	effect := func(s signal) float32 { return t.levels[s].effect() }
	switch {
	case t.evident < minWindows:
		return CauseNone, 0
	case in[sigWait] && (in[sigTime] || in[sigTimePer]):
		return CauseConnections, sigWait
	case t.reason <= byPeers && t.failures.entered(c):
		return CauseErrors, 0
	case in[sigRate] && 2*effect(sigRate) >= max(effect(sigTime), effect(sigRows)):
		return CauseRate, sigRate
	case in[sigRowsPer] && effect(sigRowsPer) >= effect(sigLatency):
		return CauseRows, sigRowsPer
	case in[sigLatency] && effect(sigTime) < dominates*effect(sigLatency):
		return CauseLatency, sigLatency
	}
	for _, s := range [...]signal{sigTime, sigTimePer, sigLatency, sigRows, sigRowsPer, sigRate} {
		if in[s] {
			return specs[s].cause, s
		}
	}
	return CauseNone, 0
}

// factor is how many times its baseline a signal must be.
func (t *state) factor(s signal, c *Config) float32 {
	f := c.LatencyFactor
	if x := specs[s].times; x > 0 {
		f = x * c.VolumeFactor
	}
	if t.reason == byPeers {
		f = max(f, newFactor)
	}
	return float32(f)
}

// entered reports whether a signal by itself makes an outlier.
func (t *state) entered(s signal, a *active, c *Config) bool {
	l := &t.levels[s]
	needed := float32(c.Enter)
	if specs[s].heavy {
		needed *= patience
	}
	if t.reason == byPeers && s != sigLatency {
		return false // large, or different, is not wrong
	}
	effect, factor := exp(l.effect()), float64(t.factor(s, c))
	if l.score < needed || effect < factor {
		return false
	}
	if s != sigLatency && effect < strong*factor && t.finding == nil && t.evident < lasting {
		return false
	}
	if !specs[s].volume {
		return true
	}
	return exp(l.last) >= material*a.g.even(s)
}

// tell describes the finding as it is now.
func (t *state) tell(s *Sample, p Phase, cause Cause, by signal, c *Config, now time.Time) Event {
	x := t.explainErrors(c)
	if cause != CauseErrors {
		x = t.explain(by, c)
	}
	return Event{
		Tenant: s.Tenant, Shard: s.Shard, Cause: cause, Phase: p, Signal: x.Name, Unit: x.Unit,
		Magnitude: x.Effect, Value: x.Value, Baseline: x.Baseline, Threshold: x.Threshold,
		Evidence: x.Why, Query: t.query, Since: t.began, At: now,
	}
}
