package main

import (
	"math"
	"math/rand/v2"
)

// source draws from the laws of doc.go.
type source struct{ *rand.Rand }

func newSource(seed uint64) source { return source{rand.New(rand.NewPCG(seed, 0x6f75746c696572))} }

func (r source) uniform(lo, hi float64) float64 { return lo + (hi-lo)*r.Float64() }

// logUniform draws so that each doubling is as likely as the next.
func (r source) logUniform(lo, hi float64) float64 {
	return lo * math.Exp(math.Log(hi/lo)*r.Float64())
}

// poisson draws a count: by Knuth's products below 30, by the normal law above.
func (r source) poisson(mean float64) int {
	if mean <= 0 {
		return 0
	}
	if mean >= 30 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*r.NormFloat64())))
	}
	n, p, limit := 0, r.Float64(), math.Exp(-mean)
	for p > limit {
		n++
		p *= r.Float64()
	}
	return n
}

// contaminated draws Tukey's normal: one of fifty is three times as wide. Its
// variance is one.
func (r source) contaminated() float64 {
	const norm = 0.928 // 1/sqrt(0.98 + 0.02*9)
	x := norm * r.NormFloat64()
	if r.IntN(50) == 0 {
		x *= 3
	}
	return x
}

// sums returns the sum of n lognormal values with the median exp(mu), and of their logs. The
// first are drawn one by one; the others follow them in mean and variance.
func (r source) sums(n int, mu, sigma float64, draw int) (sum, logs float64) {
	if n == 0 {
		return 0, 0
	}
	m := min(n, draw)
	for range m {
		z := r.NormFloat64()
		logs += z
		sum += math.Exp(sigma * z)
	}
	if rest := float64(n) / float64(m); rest > 1 {
		mean := float64(m) * math.Exp(sigma*sigma/2)
		sum = rest*mean + math.Sqrt(rest)*(sum-mean)
		logs *= math.Sqrt(rest)
	}
	return max(sum, 0) * math.Exp(mu), float64(n)*mu + sigma*logs
}

// walk is an Ornstein-Uhlenbeck process: noise that remembers.
type walk struct{ x, keep, kick float64 }

func newWalk(r source, dev, memory, window float64) walk {
	keep := math.Exp(-window / memory)
	return walk{x: dev * r.NormFloat64(), keep: keep, kick: dev * math.Sqrt(1-keep*keep)}
}

func (w *walk) next(r source) float64 {
	w.x = w.x*w.keep + w.kick*r.contaminated()
	return w.x
}
