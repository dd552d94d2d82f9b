package outlier

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Detector holds what is known of the tenants. Make it with New. Its methods may be
// called by several goroutines.
type Detector struct {
	cfg Config

	mu      sync.Mutex
	tenants map[tenant.ID]*state
	open    map[tenant.ID]*state // those with a finding
	shards  map[string]*shard
	fleet   shard // of all shards, for those that are too small
	step    uint64
	now     time.Time
	window  time.Duration
	refused uint64
	batch   []active
}

// active is a tenant's sample with what was made of it.
type active struct {
	s *Sample
	t *state
	g *shard
	v values
}

// Stats tells how a Detector is doing.
type Stats struct {
	Tenants int    `json:"tenants"` // remembered
	Open    int    `json:"open"`    // flagged
	Refused uint64 `json:"refused"` // samples of tenants that MaxTenants had no room for
}

// New returns a Detector that knows nothing yet. It fails with ErrConfig.
func New(c Config) (*Detector, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	return &Detector{cfg: c, tenants: map[tenant.ID]*state{}, open: map[tenant.ID]*state{}, shards: map[string]*shard{}}, nil
}

// forgetEvery is how many windows pass between looks for idle tenants.
const forgetEvery = 360

// Step takes one window, which ended at now, and returns what came of it, in the
// order of samples; tenants that are closed by their absence come last. Of a
// tenant that is in samples twice, the first counts. A window that is not
// positive is ignored.
func (d *Detector) Step(now time.Time, window time.Duration, samples []Sample) []Event {
	if window <= 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.step++
	d.now, d.window = now, window
	rate := float32(1 - math.Exp2(-window.Seconds()/d.cfg.HalfLife.Seconds()))
	d.collect(samples, rate)
	d.settle()
	var events []Event
	for i := range d.batch {
		if e, ok := d.take(&d.batch[i], rate); ok {
			events = append(events, e)
		}
	}
	events = append(events, d.absent()...)
	if d.step%forgetEvery == 0 {
		d.forget(now)
	}
	return events
}

// collect measures the samples and enters them in their shards.
func (d *Detector) collect(samples []Sample, rate float32) {
	d.batch = d.batch[:0]
	for _, g := range d.shards {
		g.reset()
	}
	d.fleet.reset()
	secs := d.window.Seconds()
	for i := range samples {
		s := &samples[i]
		t := d.track(s, d.now)
		if t == nil || t.step == d.step {
			continue
		}
		t.rest(d.step-t.step-1, rate, secs)
		t.step, t.last, t.query = d.step, d.now, s.Query
		a := active{s: s, t: t, g: d.shard(s.Shard), v: measure(s, secs)}
		a.g.last = d.now
		a.g.total += s.Time.Seconds()
		d.fleet.total += s.Time.Seconds()
		if t.known(d.now, &d.cfg) {
			a.g.add(s, &a.v, t)
		}
		d.batch = append(d.batch, a)
	}
}

// settle computes the baselines, that of the fleet only if it is needed.
func (d *Detector) settle() {
	small := false
	for _, g := range d.shards {
		g.settle(d.cfg.MinTenants)
		small = small || !g.enough
	}
	if !small {
		return
	}
	for i := range d.batch {
		if a := &d.batch[i]; a.t.known(d.now, &d.cfg) {
			d.fleet.add(a.s, &a.v, a.t)
		}
	}
	d.fleet.settle(d.cfg.MinTenants)
	for i := range d.batch {
		if a := &d.batch[i]; !a.g.enough {
			a.g = &d.fleet
		}
	}
}

// take judges one tenant's window, then learns from it.
func (d *Detector) take(a *active, rate float32) (Event, bool) {
	t := a.t
	t.judge(a, d.now, &d.cfg)
	e, told := d.follow(a)
	t.learn(a.s, &a.v, a.g, &d.cfg, rate)
	return e, told
}

func (d *Detector) shard(name string) *shard {
	g := d.shards[name]
	if g == nil {
		g = &shard{}
		d.shards[name] = g
	}
	return g
}

// absent lets the findings of tenants without a sample end.
func (d *Detector) absent() []Event {
	var events []Event
	for id, t := range d.open {
		if t.step == d.step {
			continue
		}
		for i := range t.levels {
			t.levels[i].quiet(1)
		}
		t.failures.score = max(0, t.failures.score-slack)
		if e, closed := d.leave(id, t); closed {
			events = append(events, e)
		}
	}
	slices.SortFunc(events, func(a, b Event) int { return cmp.Compare(a.Tenant, b.Tenant) })
	return events
}

// Open returns the findings that are open, as they were told last, by tenant.
func (d *Detector) Open() []Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	events := make([]Event, 0, len(d.open))
	for _, t := range d.open {
		events = append(events, t.finding.event)
	}
	slices.SortFunc(events, func(a, b Event) int { return cmp.Compare(a.Tenant, b.Tenant) })
	return events
}

// Stats returns how many tenants are remembered, flagged and refused.
func (d *Detector) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Stats{Tenants: len(d.tenants), Open: len(d.open), Refused: d.refused}
}
