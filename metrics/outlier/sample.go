package outlier

import (
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Sample is what one tenant did in one window: differences of cumulative
// counters. Tenants that did nothing are left out.
type Sample struct {
	Tenant     tenant.ID
	Shard      string
	Statements uint64
	Errors     uint64 // of the statements
	Rows       uint64 // read and written
	// Time is what the statements took, Wait what they waited for a
	// connection before that.
	Time, Wait time.Duration
	// LogTime is the sum of ln(seconds) of the statements. By Statements, it is
	// the log of their geometric mean.
	LogTime float64
	Query   Query // the query with the most database time, if known
}

// Query is a statement without its literals.
type Query struct {
	Fingerprint uint64        `json:"fingerprint,string"`
	Text        string        `json:"text"`
	Time        time.Duration `json:"time_ns"`
	Count       uint64        `json:"count"`
}

// Cause is what a tenant does too much of.
type Cause uint8

// The causes.
const (
	CauseNone         Cause = iota // not flagged
	CauseDatabaseTime              // some heavy statements
	CauseLatency                   // most statements are slow
	CauseErrors                    // too many statements fail
	CauseRows                      // too many rows
	CauseRate                      // too many statements
	CauseConnections               // others wait for the connections that it takes
)

var causes = [...]string{"none", "database_time", "latency", "errors", "rows", "rate", "connections"}

// String returns the name that JSON shows: "database_time", "latency", "errors",
// "rows", "rate", "connections".
func (c Cause) String() string { return name(causes[:], int(c)) }

// MarshalText returns the cause's name.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Phase is where in its life a finding is.
type Phase uint8

// The phases.
const (
	Opened  Phase = iota // the tenant was flagged
	Changed              // another cause, or a very different magnitude
	Closed               // it is quiet again, or gone
)

var phases = [...]string{"opened", "changed", "closed"}

// String returns the name that JSON shows: "opened", "changed", "closed".
func (p Phase) String() string { return name(phases[:], int(p)) }

// MarshalText returns the phase's name.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func name(names []string, i int) string {
	if i >= len(names) {
		return "unknown"
	}
	return names[i]
}

// Event tells of a finding.
type Event struct {
	Tenant tenant.ID `json:"tenant"`
	Shard  string    `json:"shard"`
	Cause  Cause     `json:"cause"`
	Phase  Phase     `json:"phase"`
	// Signal is what shows the cause best, one of the names in Explanation, and
	// Unit that of Value, Baseline and Threshold.
	Signal string `json:"signal"`
	Unit   string `json:"unit"`
	// Magnitude is how many times the baseline it is, of late, once what moved the whole
	// shard is taken out.
	Magnitude float64 `json:"magnitude"`
	// Value is that of the last window, Baseline the tenant's own history times
	// what its shard moved by (the shard's median tenant, if it has no history), and
	// Threshold the value from which it counts.
	Value     float64 `json:"value"`
	Baseline  float64 `json:"baseline"`
	Threshold float64 `json:"threshold"`
	Evidence  string  `json:"evidence"` // a sentence with these figures
	Query     Query   `json:"query"`    // most of its database time in the last window
	// Since is the end of the first window that deviated, At that of this one.
	Since time.Time `json:"since"`
	At    time.Time `json:"at"`
}
