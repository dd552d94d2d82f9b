package outlier

import "math"

// signal is one of what is compared on a log scale.
type signal int

const (
	sigTime signal = iota
	sigRate
	sigRows
	sigRowsPer
	sigTimePer
	sigLatency
	sigWait
	numSignals
)

var specs = [numSignals]struct {
	name, unit string
	cause      Cause
	volume     bool    // consumed by the second: idle windows are zeros
	perStmt    bool    // a mean over statements: the fewer, the noisier
	heavy      bool    // one statement of the tail moves it
	times      float64 // the factor is that of Config.VolumeFactor this many times, Config.LatencyFactor if 0
}{
	sigTime:    {"database_time", "s/s", CauseDatabaseTime, true, false, true, product},
	sigRate:    {"rate", "statements/s", CauseRate, true, false, false, more},
	sigRows:    {"rows", "rows/s", CauseRows, true, false, false, product},
	sigRowsPer: {"rows_per_statement", "rows", CauseRows, false, true, true, mean},
	sigTimePer: {"time_per_statement", "s", CauseDatabaseTime, false, true, true, mean},
	sigLatency: {"latency", "s", CauseLatency, false, true, true, 0},
	sigWait:    {"wait", "s per statement", CauseConnections, false, true, false, 1},
}

// product is for what is the product of two others, statements and what each takes: two
// small rises at once are no finding.
const product = 2

// more is for what comes in bursts.
const more = 1.3

// mean is for means per statement, which vary less than how many there are.
const mean = 0.8

// Least amounts, so that nothing has a logarithm and differences below them do not count.
const (
	leastTime = 100e-6 // s/s
	leastRate = 0.5    // statements
	leastRows = 1.0
	leastWait = 1e-3 // s per statement
)

// values are a window's logs. Without statements those per statement are NaN, and so is what
// a sample's nonsense (a negative time, the logarithm of none) makes of them: one window that is not
// finite would spoil a history for good.
type values [numSignals]float32

func measure(s *Sample, secs float64) values {
	n := float64(s.Statements)
	v := values{
		sigTime: ln(s.Time.Seconds()/secs + leastTime),
		sigRate: ln((n + leastRate) / secs),
		sigRows: ln((float64(s.Rows) + leastRows) / secs),
	}
	v[sigRowsPer], v[sigTimePer], v[sigLatency], v[sigWait] = nan, nan, nan, nan
	if s.Statements > 0 {
		v[sigRowsPer] = ln((float64(s.Rows) + leastRows) / (n + leastRate))
		v[sigTimePer] = ln(s.Time.Seconds()/n + leastTime)
		v[sigLatency] = float32(s.LogTime / n)
		v[sigWait] = ln(s.Wait.Seconds()/n + leastWait)
	}
	for i := range v {
		if v[i]-v[i] != 0 {
			v[i] = nan
		}
	}
	return v
}

var nan = float32(math.NaN())

func ln(x float64) float32       { return float32(math.Log(x)) }
func exp(x float32) float64      { return math.Exp(float64(x)) }
func sqrt(x float32) float32     { return float32(math.Sqrt(float64(x))) }
func isNaN(x float32) bool       { return x != x }
func clamp(x, l float32) float32 { return max(-l, min(x, l)) }
