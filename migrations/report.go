package migrations

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// The conditions of a run, beside those of package tenant.
var (
	// ErrBudget: more tenants failed than Options.MaxFailures allows.
	ErrBudget = errors.New("more tenants failed than MaxFailures allows: mend what failed and run again")
	// ErrLeftOut: tenants were skipped that still have the old version.
	ErrLeftOut = errors.New("tenants were left out: run again when they are free")
	// ErrUnknownOutcome: the connection was lost, and the tenant could not be
	// asked whether the migration is in. The next run finds out.
	ErrUnknownOutcome = errors.New("the outcome is unknown: run again to find out")
	// ErrNotUndone: a migration without a transaction failed halfway.
	ErrNotUndone = errors.New("it ran without a transaction, and what it did before is not undone: mend the schema by hand, then run again")
	// ErrNotRecorded: the tenants are migrated, and the registry does not know.
	ErrNotRecorded = errors.New("the registry could not be told of versions that were reached: the next run does it")
)

// Outcome is how a tenant's part of a run ended.
type Outcome string

// The outcomes.
const (
	Migrated  Outcome = "migrated"
	Corrected Outcome = "corrected" // it was there already; only the registry did not know
	Failed    Outcome = "failed"
	Skipped   Outcome = "skipped"   // for a reason that Report.Skipped tells
	Unreached Outcome = "unreached" // not begun, or undone, because the run ended
)

// Counts are numbers of tenants by outcome.
type Counts map[Outcome]int

// Progress is told after each tenant.
type Progress struct {
	Tenant  tenant.ID
	Shard   string
	Ring    string
	Outcome Outcome
	Err     error // of Failed
	// Done counts the migrated and the corrected, Failed and Skipped the
	// others; Total is all that the run found to do.
	Done, Failed, Skipped, Total int
}

// Report tells what a run did. It holds what the servers confirmed, also where
// the run was cut short.
type Report struct {
	Target int64
	Down   bool
	// Total is how many tenants the run found to do. Each has one outcome.
	Total  int
	Counts Counts
	Shards map[string]Counts
	// From counts the migrated tenants by the version that they had.
	From map[int64]int
	// Failed holds each failed tenant's error. What it had reached before is
	// kept, and registered.
	Failed map[tenant.ID]error
	// Skipped holds the reasons.
	Skipped map[tenant.ID]string
	// Retries is how often a tenant was tried again.
	Retries  int
	Duration time.Duration
}

func newReport(o Options) *Report {
	return &Report{
		Target: o.Target, Down: o.Down, Counts: Counts{}, Shards: map[string]Counts{},
		From: map[int64]int{}, Failed: map[tenant.ID]error{}, Skipped: map[tenant.ID]string{},
	}
}

// Done returns how many tenants have the target version for certain.
func (r *Report) Done() int { return r.Counts[Migrated] + r.Counts[Corrected] }

// String counts.
func (r *Report) String() string {
	return fmt.Sprintf("%d tenants to version %d: %d migrated, %d corrected, %d failed, %d skipped, %d not reached, in %s",
		r.Total, r.Target, r.Counts[Migrated], r.Counts[Corrected], r.Counts[Failed], r.Counts[Skipped], r.Counts[Unreached],
		r.Duration.Round(time.Millisecond))
}

// PartialError is a run that did not bring all its tenants to the target.
// errors.Is and errors.As reach its cause and each failed tenant's error.
type PartialError struct {
	Report *Report
	// Cause ended the run early; nil if only tenants failed.
	Cause error
}

// Error counts, and gives the cause and one tenant's error.
func (e *PartialError) Error() string {
	text := "migrations: " + e.Report.String()
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	if failed := slices.Sorted(maps.Keys(e.Report.Failed)); len(failed) > 0 {
		text += fmt.Sprintf(": tenant %s: %v", failed[0], e.Report.Failed[failed[0]])
	}
	return text
}

// Unwrap returns the cause and every tenant's error.
func (e *PartialError) Unwrap() []error {
	var all []error
	if e.Cause != nil {
		all = append(all, e.Cause)
	}
	return slices.AppendSeq(all, maps.Values(e.Report.Failed))
}
