package outlier

import (
	"slices"
	"time"
)

// shard is what one shard's tenants have in common in one window.
type shard struct {
	rels, sqs, abs [numSignals][]float32 // deviations, their own variances, logs
	ratios         []float32             // errors by statements
	total          float64               // seconds of database time, of all tenants
	sums           [numSignals]float64   // of what is consumed, of the tenants with a history
	last           time.Time

	shift   [numSignals]float32 // median deviation
	excess  [numSignals]float32 // variance between tenants beyond their own
	typical [numSignals]float32 // median log
	spread  [numSignals]float32 // robust standard deviation of the logs
	errors  float32             // ratio that a quarter of the tenants exceed
	members int                 // tenants with a history
	enough  bool
}

const fewStatements = 10 // less say nothing of a shard's usual error ratio

func (g *shard) reset() {
	for i := range g.rels {
		g.rels[i], g.sqs[i], g.abs[i] = g.rels[i][:0], g.sqs[i][:0], g.abs[i][:0]
	}
	g.ratios, g.total, g.members, g.sums = g.ratios[:0], 0, 0, [numSignals]float64{}
}

// add enters a tenant with a history.
func (g *shard) add(s *Sample, v *values, t *state) {
	g.members++
	n := float32(s.Statements)
	if n >= fewStatements {
		g.ratios = append(g.ratios, float32(min(s.Errors, s.Statements))/n)
	}
	for i := range v {
		if isNaN(v[i]) {
			continue
		}
		l := &t.levels[i]
		g.rels[i] = append(g.rels[i], v[i]-l.mean)
		g.sqs[i] = append(g.sqs[i], l.deviation(specs[i].perStmt, n, t.statements, t.seen))
		g.abs[i] = append(g.abs[i], v[i])
		if specs[i].volume {
			g.sums[i] += exp(v[i])
		}
	}
}

// even is what each tenant would consume if all did the same.
func (g *shard) even(s signal) float64 { return g.sums[s] / float64(max(g.members, 1)) }

// settle computes what the window's tenants have in common. It reorders what was added.
func (g *shard) settle(least int) {
	g.enough = g.members >= least
	for i := range g.rels {
		var dev float32
		g.shift[i], dev = robust(g.rels[i])
		g.excess[i] = max(0, dev*dev-median(g.sqs[i]))
		g.typical[i], g.spread[i] = robust(g.abs[i])
	}
	g.errors = quantile(g.ratios, 3, 4)
}

// robust returns the median and 1.4826 times the median absolute deviation
// from it, which it leaves in x.
func robust(x []float32) (mid, dev float32) {
	mid = median(x)
	for i := range x {
		if x[i] -= mid; x[i] < 0 {
			x[i] = -x[i]
		}
	}
	return mid, madScale * median(x)
}

func median(x []float32) float32 { return quantile(x, 1, 2) }

// quantile returns the element with num/den of x below it, 0 of an empty x. It
// reorders x: Hoare's quickselect with the middle as pivot.
func quantile(x []float32, num, den int) float32 {
	if len(x) == 0 {
		return 0
	}
	k, lo, hi := len(x)*num/den, 0, len(x)-1
	for hi-lo > 12 {
		i, j, pivot := lo, hi, x[(lo+hi)/2]
		for i <= j {
			for x[i] < pivot {
				i++
			}
			for x[j] > pivot {
				j--
			}
			if i <= j {
				x[i], x[j] = x[j], x[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return x[k]
		}
	}
	slices.Sort(x[lo : hi+1])
	return x[k]
}
