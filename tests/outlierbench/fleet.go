package main

import (
	"fmt"
	"math"
	"time"

	"github.com/gormtenancy/gormtenancy/metrics/outlier"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	window  = 5 * time.Second
	secs    = 5.0
	day     = 86400.0
	perSec  = 10.0 // statements per second and tenant, over the fleet and the day
	idleRho = 0.35 // usual load of a shard's processors
	pool    = 48   // connections of a shard
)

// customer is a tenant with its habits.
type customer struct {
	id    tenant.ID
	shard int

	rate              float64 // statements per second, mean of the day
	amplitude, phase  float64 // of the daily rhythm, in log
	growth            float64 // log per second
	load, pace        walk    // autocorrelated noise of the rate and the latency
	mu, sigma         float64 // log seconds of a statement
	tail              float64 // share of statements from the heavy tail
	rowMu, rowSigma   float64
	errors            float64
	sensitivity       float64 // exponent with which the shard's slowness reaches it
	from, gone, again float64 // when it appears, leaves and returns
	grows             float64 // when it begins to grow fast, if it does

	burst, job, blip event // what happens to it naturally
	wrong            *injection
	inFlight         float64 // connections that it used in the last window
	inFlightUsual    float64
}

// event happens now and then.
type event struct {
	next, until float64
	factor      float64
}

// server is a shard.
type server struct {
	name       string
	statements int // in the last window
	members    int
	noise      walk
	capacity   float64 // seconds of work per second
	work       float64 // asked for in the last window, per second
	busy       float64 // connections in use in the last window
	held       float64 // connections that a hog holds
	trouble    []trouble
}

// trouble is what happens to a whole shard: a deploy, maintenance, a failover.
type trouble struct {
	from, until         float64
	slower, rate, fails float64 // latency and rate times, error ratio
}

// fleet is the simulated world.
type fleet struct {
	r         source
	now       float64 // seconds since midnight of the first day
	start     float64
	customers []*customer
	servers   []*server
	samples   []outlier.Sample
}

func newFleet(seed uint64, tenants, shards int) *fleet {
	f := &fleet{r: newSource(seed)}
	f.start = f.r.uniform(0, day)
	f.now = f.start
	for i := range shards {
		f.servers = append(f.servers, &server{name: fmt.Sprintf("shard-%d", i+1), noise: newWalk(f.r, 0.08, 120, secs)})
	}
	harmonic := 0.0
	for k := range tenants {
		harmonic += 1 / float64(k+1)
	}
	for k := range tenants {
		rate := perSec * float64(tenants) / harmonic / float64(k+1)
		c := newCustomer(f.r, k, rate, f.now)
		c.shard = f.r.IntN(shards)
		f.customers = append(f.customers, c)
		s := f.servers[c.shard]
		c.inFlightUsual = c.rate * math.Exp(c.mu+c.sigma*c.sigma/2)
		s.capacity += c.inFlightUsual / idleRho
		s.members++
	}
	for _, s := range f.servers {
		s.work = s.capacity * idleRho
	}
	f.r.Shuffle(tenants, func(i, j int) { f.customers[i], f.customers[j] = f.customers[j], f.customers[i] })
	return f
}

func newCustomer(r source, k int, rate, now float64) *customer {
	c := &customer{
		id: tenant.ID(fmt.Sprintf("t%04d", k)), rate: rate,
		amplitude: r.uniform(0.3, 0.8), phase: float64(r.IntN(3))*day/3 + r.uniform(-3600, 3600),
		growth: r.uniform(0, 0.03) / day,
		load:   newWalk(r, r.uniform(0.1, 0.25), r.logUniform(30, 600), secs),
		pace:   newWalk(r, r.uniform(0.05, 0.15), r.logUniform(30, 600), secs),
		mu:     math.Log(0.002) + 0.5*r.NormFloat64(), sigma: r.uniform(0.6, 1.2),
		tail: r.uniform(0, 0.002), rowMu: math.Log(r.logUniform(1, 20)), rowSigma: r.uniform(0.8, 1.4),
		errors:      min(0.02, 0.002*math.Exp(0.8*r.NormFloat64())),
		sensitivity: min(1.6, max(0.4, 1+0.2*r.NormFloat64())),
		from:        -1, gone: math.Inf(1), again: math.Inf(1), grows: math.Inf(1),
	}
	c.burst.plan(r, now, day/2)
	c.job.plan(r, now, day)
	c.blip.plan(r, now, day)
	return c
}

func (e *event) plan(r source, now, every float64) { e.next = now + every*r.ExpFloat64() }

// on reports whether the event is under way, and begins and plans it.
func (e *event) on(r source, now, every, shortest, longest, lo, hi float64) bool {
	if now < e.next {
		return now < e.until
	}
	e.until, e.factor = now+r.uniform(shortest, longest), r.uniform(lo, hi)
	e.plan(r, e.until, every)
	return true
}

// step simulates a window and returns its samples, which hold until the next.
func (f *fleet) step() []outlier.Sample {
	f.samples = f.samples[:0]
	now := make([]weather, len(f.servers))
	for i, s := range f.servers {
		now[i] = s.weather(f.r, f.now)
		s.work, s.busy, s.held, s.statements = 0, 0, 0, 0
	}
	for _, c := range f.customers {
		if f.now < c.from || f.now >= c.gone && f.now < c.again {
			continue
		}
		s := f.servers[c.shard]
		c.step(f, s, now[c.shard])
	}
	f.now += secs
	return f.samples
}

// weather is what a shard is like for everybody.
type weather struct {
	slower, rate float64 // times
	fails        float64 // ratio
	wait         float64 // seconds per statement
}

func (s *server) weather(r source, now float64) weather {
	w := weather{rate: 1}
	rho := min(0.9, s.work/s.capacity)
	w.slower = (1 - idleRho) / (1 - rho) * math.Exp(s.noise.next(r))
	for _, t := range s.trouble {
		if now >= t.from && now < t.until {
			w.slower *= t.slower
			w.rate *= t.rate
			w.fails = 1 - (1-w.fails)*(1-t.fails)
		}
	}
	if w.slower > 1 {
		w.rate *= math.Pow(w.slower, -0.3) // some of the load waits for its answers
	}
	if s.statements > 0 {
		w.wait = queueing(s.busy, max(2, pool-s.held)) * s.busy * secs / float64(s.statements)
	}
	return w
}

// queueing is the mean wait for one of c connections of which busy are in use, as a multiple of
// the mean time that one is used (Sakasegawa 1977).
func queueing(busy, c float64) float64 {
	u := min(0.98, busy/c)
	return math.Pow(u, math.Sqrt(2*(c+1))) / (c * (1 - u))
}
