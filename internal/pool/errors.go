package pool

import (
	"errors"
	"fmt"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// ErrClosed is returned by Acquire after Close.
var ErrClosed = errors.New("connection pool is closed")

// FullError is the error of a caller that would be one too many of its owner's to
// wait. It is a tenant.ErrLimited.
type FullError struct {
	Shard, Node, Owner string
	Waiting            int // of the owner's callers
}

// Error implements error.
func (e *FullError) Error() string {
	return fmt.Sprintf("%d statements of tenant %s wait for a connection to %s/%s already: send fewer at once, or allow it more connections",
		e.Waiting, e.Owner, e.Shard, e.Node)
}

// Unwrap returns tenant.ErrLimited.
func (e *FullError) Unwrap() error { return tenant.ErrLimited }

// DownError is the error of a caller that needs a new connection to a node to which
// several attempts in a row have failed. It comes at once.
type DownError struct {
	Shard, Node string
	RetryAfter  time.Duration // until one caller may try again
	Err         error         // the last attempt's
}

// Error implements error.
func (e *DownError) Error() string {
	return fmt.Sprintf("%s/%s takes no connections (tried again in %s): see that its server runs and can be reached: %v",
		e.Shard, e.Node, e.RetryAfter.Round(time.Millisecond), e.Err)
}

// Unwrap returns the last attempt's error.
func (e *DownError) Unwrap() error { return e.Err }
