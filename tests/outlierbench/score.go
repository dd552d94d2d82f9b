package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/gormtenancy/gormtenancy/metrics/outlier"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// score is what a rule made of scenarios.
type score struct {
	injected, found, named [numKinds]int
	delays                 [numKinds][]float64 // seconds from the beginning to the finding
	wrong                  []wrongly
	misnamed, missed       []string
	windows                int
	took                   time.Duration
}

// wrongly is a finding that is none.
type wrongly struct {
	seed uint64
	id   tenant.ID
	at   float64 // seconds since the scenario's warm-up
	opened
}

// tolerance is for how many seconds after an outlier's end a finding is still of it.
const tolerance = 2 * secs

// names are the causes that are right for a kind. A heavy aggregate's statements may be
// told by the time that they take as well as by their latency.
var names = [numKinds][]outlier.Cause{
	slowQuery:      {outlier.CauseLatency, outlier.CauseDatabaseTime},
	flood:          {outlier.CauseRate},
	errorStorm:     {outlier.CauseErrors},
	rowFlood:       {outlier.CauseRows},
	heavyAggregate: {outlier.CauseDatabaseTime, outlier.CauseLatency},
	hog:            {outlier.CauseConnections},
}

// play runs a scenario past the rules and returns a score for each.
func play(s *scenario, seed uint64, rules []rule) []score {
	scores := make([]score, len(rules))
	known := map[tenant.ID]*injection{}
	for _, i := range s.injections {
		known[i.who.id] = i
		for j := range scores {
			scores[j].injected[i.kind]++
		}
	}
	seen := make([]map[tenant.ID]bool, len(rules))
	for s.now < s.end {
		samples := s.step()
		at := time.Unix(0, int64(s.now*1e9)).UTC()
		for j, r := range rules {
			if seen[j] == nil {
				seen[j] = map[tenant.ID]bool{}
			}
			began := time.Now()
			found := r.step(at, samples)
			scores[j].took += time.Since(began)
			scores[j].windows++
			for _, o := range found {
				scores[j].enter(o, known[o.id], s, seed, seen[j])
			}
		}
	}
	for j := range scores {
		for _, i := range s.injections {
			if !seen[j][i.who.id] {
				scores[j].missed = append(scores[j].missed, fmt.Sprintf("seed %d, %s: %s of %.3g for %.0f s missed (%.2g statements/s, share %.2g)",
					seed, i.who.id, kindNames[i.kind], i.severity, i.until-i.from, i.who.rate, i.share))
			}
		}
	}
	return scores
}

// enter counts a finding as right or wrong. One that is told again while its
// outlier lasts counts once.
func (c *score) enter(o opened, i *injection, s *scenario, seed uint64, seen map[tenant.ID]bool) {
	if i == nil || s.now < i.from || s.now > i.until+tolerance {
		c.wrong = append(c.wrong, wrongly{seed: seed, id: o.id, at: s.now - s.start - s.warm, opened: o})
		return
	}
	if seen[o.id] {
		return
	}
	seen[o.id] = true
	c.found[i.kind]++
	c.delays[i.kind] = append(c.delays[i.kind], s.now-i.from)
	if slices.Contains(names[i.kind], o.cause) {
		c.named[i.kind]++
	} else {
		c.misnamed = append(c.misnamed, fmt.Sprintf("seed %d, %s: %s of %.3g found as %s: %s", seed, o.id, kindNames[i.kind], i.severity, o.cause, o.why))
	}
}

func (c *score) add(o score) {
	for k := range numKinds {
		c.injected[k] += o.injected[k]
		c.found[k] += o.found[k]
		c.named[k] += o.named[k]
		c.delays[k] = append(c.delays[k], o.delays[k]...)
	}
	c.wrong = append(c.wrong, o.wrong...)
	c.misnamed = append(c.misnamed, o.misnamed...)
	c.missed = append(c.missed, o.missed...)
	c.windows += o.windows
	c.took += o.took
}

func total(counts [numKinds]int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

func (c *score) precision() float64 {
	found := total(c.found)
	return ratio(found, found+len(c.wrong))
}

func (c *score) recall() float64 { return ratio(total(c.found), total(c.injected)) }

func ratio(a, b int) float64 {
	if b == 0 {
		return 1
	}
	return float64(a) / float64(b)
}

// delay returns a quantile of the time to detection, of those that were found.
func delay(delays []float64, q float64) float64 {
	if len(delays) == 0 {
		return 0
	}
	d := slices.Sorted(slices.Values(delays))
	return d[min(len(d)-1, int(q*float64(len(d))))]
}
