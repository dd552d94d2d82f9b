package outlier

import "math"

// failures is a tenant's error ratio: its history and the evidence against it.
type failures struct {
	errors, statements float32 // decaying sums of the history
	score              float32 // CUSUM of log-likelihood ratios
	sumErrors, sumN    float32 // since score left zero
	last, base         float32 // the last window's ratio, and what it was compared with
}

const (
	priorErrors     = 0.5 // of a tenant's history, with
	priorStatements = 100
	errorFactor     = 3  // a storm has this many times the usual ratio
	doubtFactor     = 2  // up to this many times it is nothing
	leastErrors     = 10 // fewer are no storm, whatever the ratio
	leastDoubt      = 0.02
	mostDoubt       = 0.9
	cappedErrors    = 3.8 // one window's evidence
)

// usual is the ratio that is usual for the tenant, or for its shard now.
func (f *failures) usual(shard float32) float32 {
	return max((f.errors+priorErrors)/(f.statements+priorStatements), shard)
}

// judge adds the log-likelihood ratio of a storm to nothing, by the binomial
// law: errors of n statements.
func (f *failures) judge(errors, n, shard float32, least float64) {
	if f.base = f.usual(shard); n > 0 {
		f.last = errors / n
	}
	p0 := float64(max(doubtFactor*f.base, leastDoubt))
	if p0 >= mostDoubt {
		// The shard is down, or the tenant never did anything else: nothing can stand out.
		f.score, f.sumErrors, f.sumN = 0, 0, 0
		return
	}
	p1 := min(max(2*p0, 3*least), 0.95)
	llr := float64(errors)*math.Log(p1/p0) + float64(n-errors)*math.Log((1-p1)/(1-p0))
	f.score = max(0, f.score+float32(min(llr, cappedErrors)))
	if f.score == 0 {
		f.sumErrors, f.sumN = 0, 0
		return
	}
	f.sumErrors, f.sumN = f.sumErrors+errors, f.sumN+n
}

// ratio is that since the evidence began to grow.
func (f *failures) ratio() float32 {
	if f.sumN == 0 {
		return 0
	}
	return f.sumErrors / f.sumN
}

// threshold is the ratio that makes a finding.
func (f *failures) threshold(least float64) float32 {
	return max(float32(least), min(errorFactor*f.base, 0.9))
}

// entered reports whether this is a storm.
func (f *failures) entered(c *Config) bool {
	return f.score >= float32(c.Enter) && f.sumErrors >= leastErrors && f.ratio() >= f.threshold(c.ErrorRatio)
}

func (f *failures) learn(errors, n, rate float32) {
	f.errors += errors - rate*f.errors
	f.statements += n - rate*f.statements
}
