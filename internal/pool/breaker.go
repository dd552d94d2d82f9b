package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"
)

const (
	tripAfter = 3                      // attempts that fail in a row
	minPause  = 100 * time.Millisecond // doubled with each probe that fails, up to
	maxPause  = 10 * time.Second
	// fairTry is how long an attempt must have lasted if it is to count against the
	// node although its deadline ended it.
	fairTry = time.Second
)

// breaker keeps callers from a node that takes no connections.
//
//	closed --tripAfter failures--> open --pause--> half-open --success--> closed
//	                                 ^                  |
//	                                 +----failure-------+
type breaker struct {
	failures int
	until    time.Time     // when open: one may try after that
	pause    time.Duration // 0: closed
	probing  bool          // somebody tries
	err      error         // of the last failure that counted
	trips    int64
}

func (b *breaker) isOpen() bool { return b.pause > 0 }

// refuses returns how long it stays open, or 0 if somebody may try.
func (b *breaker) refuses(now time.Time) time.Duration {
	switch {
	case !b.isOpen():
		return 0
	case now.Before(b.until):
		return b.until.Sub(now)
	case b.probing:
		return minPause
	}
	return 0
}

// begin begins an attempt, which nothing refuses.
func (b *breaker) begin() (probe bool) {
	b.probing = b.isOpen()
	return b.probing
}

func (b *breaker) succeeded() { *b = breaker{trips: b.trips} }

// undecided notes an attempt that says nothing of the node.
func (b *breaker) undecided(probe bool) {
	if probe {
		b.probing = false
	}
}

// failed notes a failure, and reports whether it opens the breaker. Attempts that
// began before it opened do not make it pause for longer.
func (b *breaker) failed(now time.Time, err error, probe bool) (opened bool) {
	b.failures++
	b.err = err
	switch {
	case probe:
		b.probing = false
		b.pause = min(2*b.pause, maxPause)
	case b.isOpen() || b.failures < tripAfter:
		return false
	default:
		b.pause = minPause
		b.trips++
	}
	b.until = now.Add(time.Duration(float64(b.pause) * (0.8 + 0.4*rand.Float64())))
	return true
}

func (b *breaker) state(now time.Time) string {
	switch {
	case !b.isOpen():
		return "closed"
	case now.Before(b.until):
		return "open"
	}
	return "half-open"
}

// blames reports whether a failed attempt says that the node is down: not one that
// the caller called off, nor one that the server answered, be it that it knows no such
// login (28P01), or has no connection left (53300): such a server lives. It may
// answer that it starts, stops or has crashed (57P0x, 08xxx).
func blames(ctx context.Context, err error, took time.Duration) bool {
	if errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, context.Canceled) ||
		ctx.Err() != nil && took < fairTry {
		return false
	}
	var pg interface{ SQLState() string }
	if errors.As(err, &pg) {
		code := pg.SQLState()
		return strings.HasPrefix(code, "57P0") || strings.HasPrefix(code, "08")
	}
	return true
}
