package main

import (
	"context"
	"slices"
	"time"
)

// The ways that are compared.
const (
	plainWay = iota
	oursWay
	qualifiedWay
	setWay
	ways
)

// effort says how long to measure. Many short rounds are better than few long
// ones: what else the machine does then falls on all ways alike.
type effort struct {
	slowRounds   int // at 1 ms of latency
	fastRounds   int // on loopback
	replayRounds int // against recorded answers
	loopRounds   int // of the closed loop
	loop         time.Duration
	loopWarm     time.Duration // before, for the servers' caches to reach their steady state
}

var (
	fullEffort  = effort{slowRounds: 201, fastRounds: 2001, replayRounds: 2001, loopRounds: 41, loop: 300 * time.Millisecond, loopWarm: 30 * time.Second}
	shortEffort = effort{slowRounds: 41, fastRounds: 501, replayRounds: 501, loopRounds: 11, loop: 200 * time.Millisecond, loopWarm: 4 * time.Second}
)

// medians over the rounds of a comparison.
type medians struct {
	value [ways]float64
	ratio float64 // ours/plain within a round
	diff  float64 // ours-plain within a round
}

// alternate runs each way once per round, after an unmeasured first round. A
// way returns its figure; one that is nil is left out.
func alternate(ctx context.Context, rounds int, run [ways]func() (float64, error)) (medians, error) {
	var all [ways][]float64
	var ratios, diffs []float64
	for round := range rounds + 1 {
		var now [ways]float64
		for _, w := range order(round) {
			if run[w] == nil {
				continue
			}
			x, err := run[w]()
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return medians{}, err
			}
			now[w] = x
		}
		if round == 0 {
			continue
		}
		for w, x := range now {
			all[w] = append(all[w], x)
		}
		ratios = append(ratios, now[oursWay]/now[plainWay])
		diffs = append(diffs, now[oursWay]-now[plainWay])
	}
	m := medians{ratio: median(ratios), diff: median(diffs)}
	for w := range all {
		m.value[w] = median(all[w])
	}
	return m, nil
}

// order returns the ways in the order of a round. All orders have their turn:
// a way that always ran behind the same one would inherit its effects on the
// processor's caches and clock.
func order(round int) [ways]int {
	var o [ways]int
	for w := range o {
		o[w] = w
	}
	for i := range o {
		left := ways - i
		chosen := i + round%left
		round /= left
		o[i], o[chosen] = o[chosen], o[i]
	}
	return o
}

func median(xs []float64) float64 {
	s := slices.Sorted(slices.Values(xs))
	n := len(s)
	if n == 0 {
		return 0
	}
	return (s[(n-1)/2] + s[n/2]) / 2
}

// timed returns the microseconds of one of n calls.
func timed(n int, call func(i int) error) (float64, error) {
	begin := time.Now()
	for i := range n {
		if err := call(i); err != nil {
			return 0, err
		}
	}
	return float64(time.Since(begin).Nanoseconds()) / 1e3 / float64(n), nil
}
