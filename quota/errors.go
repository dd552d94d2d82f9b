package quota

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// The limits that a LimitError may name: their names in JSON.
const (
	LimitStatements  = "statements_per_second"
	LimitRequests    = "requests_per_second"
	LimitConcurrency = "concurrency"
	LimitDatabase    = "database_share"
	LimitConnections = "connections"
	LimitRows        = "rows_per_result"
	LimitStorage     = "storage_bytes"
	LimitReplicas    = "read_replicas_only" // the lane's: no replica is fresh enough
)

// ErrNotStarted is returned by a Governor that knows no policy yet.
var ErrNotStarted = errors.New("limits are not known yet: call Governor.Start first")

// LimitError says which limit a tenant is over. It wraps tenant.ErrLimited.
type LimitError struct {
	Tenant tenant.ID
	// Limit is one of the constants, such as LimitStatements.
	Limit string
	// Value is the limit's.
	Value float64
	// RetryAfter is when trying again may help; 0 if waiting does not.
	RetryAfter time.Duration
}

// advice is what to do where waiting does not help.
var advice = map[string]string{
	LimitRows:    "ask for fewer rows with LIMIT, or iterate in pages",
	LimitStorage: "delete data",
}

// Error says who is over which limit, and what to do.
func (e *LimitError) Error() string {
	do := "slow down"
	if a, ok := advice[e.Limit]; ok {
		do = a
	}
	if e.RetryAfter > 0 {
		do = "try again in " + shown(e.RetryAfter).String()
	}
	return fmt.Sprintf("tenant %s is over its limit of %s = %s: %s, or raise the limit",
		e.Tenant, e.Limit, strconv.FormatFloat(e.Value, 'f', -1, 64), do)
}

// Unwrap makes errors.Is(err, tenant.ErrLimited) true.
func (e *LimitError) Unwrap() error { return tenant.ErrLimited }

// shown rounds up, so that who waits that long has waited long enough.
func shown(d time.Duration) time.Duration {
	const to = time.Millisecond
	return (d + to - 1) / to * to
}
