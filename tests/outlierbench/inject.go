package main

import "math"

// kind is what an injected outlier does.
type kind int

const (
	slowQuery kind = iota
	flood
	errorStorm
	rowFlood
	heavyAggregate
	hog
	numKinds
)

var kindNames = [numKinds]string{"slow query", "rate flood", "error storm", "row flood", "heavy aggregate", "connection hog"}

// injection is one tenant misbehaving for a while. Its severity was drawn
// log-uniformly from the kind's range.
type injection struct {
	kind        kind
	who         *customer
	from, until float64
	severity    float64 // times usual; for storms the ratio of errors; for hogs times the pool
	share       float64 // of its statements, where only some are different
	length      float64 // seconds of a heavy statement
	duty        float64 // part of a hog's transactions that statements run
	takes       float64 // of its shard's capacity, at least: a noisy neighbour slows everybody
}

// severities are the ranges.
var severities = [numKinds][2]float64{
	slowQuery:      {4, 30},
	flood:          {6, 40},
	errorStorm:     {0.1, 0.9},
	rowFlood:       {6, 100},
	heavyAggregate: {6, 50},
	hog:            {0.5, 1.5},
}

func newInjection(r source, k kind, who *customer, from float64) *injection {
	i := &injection{
		kind: k, who: who, from: from, until: from + r.uniform(180, 600), severity: r.logUniform(severities[k][0], severities[k][1]),
		share: r.uniform(0.3, 1), length: r.logUniform(0.2, 2), duty: r.uniform(0.2, 0.9),
	}
	who.wrong = i
	return i
}

// alter makes m what an injection makes of it. A window that it begins or
// ends in is altered in part.
func (i *injection) alter(f *fleet, c *customer, m *moment) {
	part := (min(i.until, f.now+secs) - max(i.from, f.now)) / secs
	if part <= 0 {
		return
	}
	s := f.servers[c.shard]
	switch i.kind {
	case slowQuery:
		m.odd, m.oddMu = i.share*part, math.Log(1+(i.severity-1)/i.share)
	case flood:
		m.rate *= 1 + (i.severity-1)*part
	case errorStorm:
		m.errors += (i.severity - m.errors) * part
	case rowFlood:
		m.odd, m.oddRows, m.rowCost = i.share*part, math.Log(1+(i.severity-1)/i.share), 5e-6
	case heavyAggregate:
		i.aggregate(f, s, m, part)
	case hog:
		i.hog(f, s, m, part)
	}
}

// aggregate adds statements that take severity times the tenant's own load, or times an
// even share of its shard's, whichever is more.
func (i *injection) aggregate(f *fleet, s *server, m *moment, part float64) {
	own := m.rate * math.Exp(m.mu+i.who.sigma*i.who.sigma/2)
	load := i.severity * max(own, s.capacity*idleRho/float64(s.members))
	load = max(load, i.takes*s.capacity)
	m.extra, m.extraMu = f.r.poisson(load*part*secs/(i.length*math.Exp(0.125))), math.Log(i.length)
}

// hog opens transactions that keep a part of the pool, or six times the
// connections that the tenant usually has.
func (i *injection) hog(f *fleet, s *server, m *moment, part float64) {
	wants := max(i.severity*pool, 6*i.who.inFlightUsual)
	m.extraWaits = true
	m.held = min(wants, pool-2) * part
	m.queued = max(0, wants-m.held) * part
	m.extra, m.extraMu = f.r.poisson(m.held*i.duty*secs/(i.length/4*math.Exp(0.125))), math.Log(i.length/4)
}
