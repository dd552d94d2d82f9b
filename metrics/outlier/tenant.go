package outlier

import "time"

// state is what is remembered of a tenant.
type state struct {
	shard      string
	levels     [numSignals]level
	failures   failures
	seen       float32 // windows in its history
	statements float32 // usual in a window
	since      time.Time
	last       time.Time
	step       uint64 // of the last sample
	evident    uint16 // consecutive windows with evidence
	began      time.Time
	reason     reason // how it was judged in the last window
	query      Query
	finding    *finding
}

// reason says how a tenant was judged in its last window.
type reason uint8

const (
	byHistory  reason = iota
	byPeers           // it has no history: against its shard
	newShard          // not at all: nobody on the shard has a history
	fewTenants        // not at all: too few for a baseline
)

// track returns the state of s's tenant, made if there is room.
func (d *Detector) track(s *Sample, now time.Time) *state {
	t := d.tenants[s.Tenant]
	switch {
	case t == nil && len(d.tenants) >= d.cfg.MaxTenants:
		d.refused++
		return nil
	case t == nil:
		t = &state{shard: s.Shard, since: now, step: d.step - 1}
		d.tenants[s.Tenant] = t
	case t.shard != s.Shard:
		// It moved: what another server took says little of this one.
		*t = state{shard: s.Shard, since: now, step: d.step - 1, finding: t.finding}
	}
	return t
}

// known reports whether the tenant has a history.
func (t *state) known(now time.Time, c *Config) bool {
	return now.Sub(t.since) >= c.Warmup && t.seen >= priorCount
}

// rest accounts for the windows in which a tenant had no sample: zeros, if
// they were few. A long absence is no history.
func (t *state) rest(missed uint64, rate float32, secs float64) {
	if missed == 0 {
		return
	}
	for i := range t.levels {
		t.levels[i].quiet(float32(min(missed, idleCounts)))
	}
	t.evident = 0
	if missed > idleCounts || t.seen == 0 {
		return
	}
	zeros := measure(&Sample{}, secs)
	for range missed {
		for i := range t.levels {
			if specs[i].volume {
				t.levels[i].learn(zeros[i], 0, rate, t.seen)
			}
		}
		t.statements -= max(rate, 1/(t.seen+1)) * t.statements
	}
}

// judge takes a window as evidence for or against the tenant.
func (t *state) judge(a *active, now time.Time, c *Config) {
	t.reason = a.reason(now, c)
	errors, n := float32(min(a.s.Errors, a.s.Statements)), float32(a.s.Statements)
	t.failures.judge(errors, n, a.g.errors, c.ErrorRatio)
	for i := range t.levels {
		l := &t.levels[i]
		l.last = a.v[i]
		switch {
		case t.reason == newShard || t.reason == fewTenants || isNaN(a.v[i]):
			l.quiet(1)
		case t.reason == byPeers:
			l.judge(a.v[i]-a.g.typical[i], max(a.g.spread[i], priorDev), 0)
		default:
			v := l.deviation(specs[i].perStmt, n, t.statements, t.seen) + a.g.excess[i]
			l.judge(a.v[i]-l.mean-a.g.shift[i], sqrt(v), a.g.excess[i]/v)
		}
	}
	t.evidence(now, c)
}

// evidence counts consecutive windows with something to go by.
func (t *state) evidence(now time.Time, c *Config) {
	some := t.failures.score > 0
	for i := range t.levels {
		some = some || t.levels[i].score > 0 && t.levels[i].z > slack
	}
	if !some {
		t.evident = 0
		return
	}
	if t.evident++; t.evident == 1 && t.finding == nil {
		t.began = now
	}
	ceiling := float32(2 * c.Enter) // or what was long would take long to leave
	for i := range t.levels {
		t.levels[i].score = min(t.levels[i].score, ceiling)
	}
	t.failures.score = min(t.failures.score, ceiling)
}

func (a *active) reason(now time.Time, c *Config) reason {
	switch {
	case a.g.members == 0:
		return newShard
	case !a.g.enough:
		return fewTenants
	case !a.t.known(now, c):
		return byPeers
	}
	return byHistory
}

// learn takes a window into the history. What looks like the beginning of a
// finding waits: it would excuse itself.
func (t *state) learn(s *Sample, v *values, g *shard, c *Config, rate float32) {
	seen, doubt := t.seen, float32(c.Enter/2)
	if t.finding != nil {
		rate, doubt = rate/openSlower, float32(3*c.Enter)
		seen = max(seen, 1/rate)
	}
	for i := range v {
		if l := &t.levels[i]; !isNaN(v[i]) && l.score <= doubt {
			l.learn(v[i], g.shift[i], rate, seen)
		}
	}
	n := float32(s.Statements)
	if t.failures.score <= doubt {
		t.failures.learn(float32(min(s.Errors, s.Statements)), n, rate)
	}
	t.statements += max(rate, 1/(seen+1)) * (n - t.statements)
	t.seen++
}

// forget drops tenants, and shards, that were idle for long.
func (d *Detector) forget(now time.Time) {
	for id, t := range d.tenants {
		if now.Sub(t.last) > d.cfg.Forget && t.finding == nil {
			delete(d.tenants, id)
		}
	}
	for name, g := range d.shards {
		if now.Sub(g.last) > d.cfg.Forget {
			delete(d.shards, name)
		}
	}
}
