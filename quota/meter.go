package quota

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// meter holds a tenant to one rate. It is a bucket of this process, and where
// processes share the rate, a lease of tokens taken from the bucket that they
// share. The first is drained with the second, so that it knows what this
// process used when it has to stand in.
type meter struct {
	// bucket is made with the first limit, before anybody is told of one, and
	// never replaced: changed limits do not refill it.
	bucket *rate.Limiter
	lease  atomic.Pointer[lease]
}

// set puts a limit in force. The caller serialises it.
func (m *meter) set(perSecond float64, burst int, share int, now time.Time) {
	if perSecond == 0 {
		return
	}
	// One process's part, where it is known how many there are.
	limit, size := rate.Limit(perSecond), burst
	if share > 1 {
		limit /= rate.Limit(share)
		size = max(1, burst/share)
	}
	if m.bucket == nil {
		m.bucket = rate.NewLimiter(limit, size)
		m.bucket.SetBurstAt(now, size) // its time begins now
		return
	}
	if m.bucket.Limit() == limit && m.bucket.Burst() == size {
		return
	}
	m.bucket.SetLimitAt(now, limit)
	m.bucket.SetBurstAt(now, size)
	if l := m.lease.Load(); l != nil {
		l.forget()
	}
}

// full reports whether nothing is lost with the meter.
func (m *meter) full(now time.Time) bool {
	return m.bucket == nil || m.bucket.TokensAt(now) >= float64(m.bucket.Burst())
}

// local takes a token from this process's bucket, or says when there is one.
func (m *meter) local(now time.Time) (wait time.Duration, ok bool) {
	if m.bucket.AllowN(now, 1) {
		return 0, true
	}
	return seconds((1 - m.bucket.TokensAt(now)) / float64(m.bucket.Limit())), false
}

// take takes a token. The wait is meaningful where it is refused.
func (m *meter) take(ctx context.Context, g *Governor, a *account, kind int, perSecond float64, burst int) (wait time.Duration, ok bool) {
	if g.cfg.Shared == nil {
		return m.local(time.Now())
	}
	l := m.lease.Load()
	if l == nil {
		m.lease.CompareAndSwap(nil, newLease(kinds[kind]+":"+string(a.id)))
		l = m.lease.Load()
	}
	switch wait, got := l.take(ctx, g.cfg.Shared, perSecond, burst); got {
	case granted:
		m.bucket.AllowN(time.Now(), 1)
		return 0, true
	case refused:
		return wait, false
	}
	g.fallbacks.Add(1)
	now := time.Now()
	wait, ok = m.local(now)
	if g.share > 0 {
		l.alone(now, ok, burst/g.share)
	}
	return wait, ok
}

// decision describes the meter after an attempt.
func (m *meter) decision(perSecond float64, burst int, wait time.Duration, allowed bool) Decision {
	window := max(1, math.Ceil(float64(burst)/perSecond))
	d := Decision{
		Allowed: allowed, Window: seconds(window),
		Limit: int(min(max(1, perSecond*window), math.MaxInt32)),
	}
	tokens := max(0, m.bucket.TokensAt(time.Now()))
	size := m.bucket.Burst()
	d.Reset = seconds((float64(size) - tokens) / float64(m.bucket.Limit()))
	if allowed {
		d.Remaining = int(tokens)
	} else {
		d.Reset = max(d.Reset, wait)
	}
	return d
}

// seconds returns s seconds, as far as a Duration reaches.
func seconds(s float64) time.Duration {
	if s >= math.MaxInt64/1e9 {
		return math.MaxInt64
	}
	return time.Duration(s * 1e9)
}

// Decision is what became of a request, for the fields that tell the client.
type Decision struct {
	// Allowed is whether the request may go on.
	Allowed bool
	// Limit is how many requests a Window admits; 0 if there is no limit.
	Limit int
	// Window is whole seconds: as long as it takes to fill an empty bucket.
	Window time.Duration
	// Remaining is how many more would be admitted now, as far as this process
	// knows: with a shared limit, it knows of its own only.
	Remaining int
	// Reset is when all of them are there again.
	Reset time.Duration
}
