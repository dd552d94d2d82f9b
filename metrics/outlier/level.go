package outlier

// level is one signal of one tenant: its history and the evidence against it. float32, for
// there are many.
type level struct {
	mean, variance float32 // of the log, decaying
	score          float32 // CUSUM of the deviations
	sum, n         float32 // deviations and windows since score left zero
	last, rel, z   float32 // the last window: log, deviation, the same in standard deviations
}

// effect is the mean deviation, a logarithm, since the evidence began to grow.
func (l *level) effect() float32 {
	if l.n == 0 {
		return 0
	}
	return l.sum / l.n
}

// judge takes one window's deviation, with its standard deviation, as evidence. shared
// is the part of the variance that tenants of the shard differ by: that does not come anew with each
// window, so it must not add up.
func (l *level) judge(rel, dev, shared float32) {
	l.rel, l.z = rel, rel/dev
	l.score = max(0, l.score+min(l.z, capped)-slack-slackShared*shared)
	if l.score == 0 {
		l.sum, l.n = 0, 0
		return
	}
	const memory = 0.9 // a long finding's magnitude is that of late
	l.sum, l.n = l.sum*memory+min(rel, maxLog), l.n*memory+1
}

// quiet takes windows without a sample as evidence of nothing.
func (l *level) quiet(windows float32) {
	if l.score = max(0, l.score-windows*slack); l.score == 0 {
		l.sum, l.n = 0, 0
	}
}

// learn moves the history towards x by the share rate, and its variance
// by that of the deviation beyond the shard's shift. seen is how many windows it has learned.
func (l *level) learn(x, shift, rate, seen float32) {
	if seen == 0 {
		l.mean, l.variance = x, priorDev*priorDev
		return
	}
	d := x - l.mean
	if seen > priorCount {
		d = clamp(d-shift, clip*sqrt(l.variance)) + shift
	}
	e := d - shift
	l.mean += max(rate, 1/(seen+1)) * d
	l.variance += max(rate, 1/(seen+priorCount)) * (e*e - l.variance)
}

// deviation is the squared standard deviation of a window of this signal, given that
// it has n statements where typical are usual.
func (l *level) deviation(perStmt bool, n, typical, seen float32) float32 {
	v := max(l.variance, floorDev*floorDev) * (1 + priorCount/(seen+1))
	if perStmt && n < typical {
		v *= typical / max(n, 1)
	}
	return v
}
