package quota

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Shared is a token bucket that all processes take from; package redislimit has
// one. If it has the methods Start(context.Context) error and Stop(), it
// belongs to the Governor, which calls them.
type Shared interface {
	// Take takes up to n tokens from the bucket named key, which is filled at
	// rate tokens a second up to burst. If it grants fewer than n, retryAfter
	// is when there is another one. It answers within milliseconds; an error
	// means that the bucket cannot be asked now.
	Take(ctx context.Context, key string, rate float64, burst, n int) (granted int, retryAfter time.Duration, err error)
}

const (
	// chunk is the time for which tokens are leased while they are scarce.
	chunk = 75 * time.Millisecond
	// leaseLife is how long a token is kept that nobody used, and how long
	// tokens count as scarce after some were refused.
	leaseLife = time.Second
	// demandWindow is the time over which demand is measured.
	demandWindow = 100 * time.Millisecond
	// patience is the time after which one waits for no further answer.
	patience = 5 * time.Millisecond
)

// outcome is what became of a token that was asked for.
type outcome int

const (
	granted outcome = iota
	refused
	away // the shared bucket cannot be asked
)

// lease holds tokens that were taken from a shared bucket ahead of use: as many
// as this process will probably use within chunk, so that none is hoarded that
// another process could use. One that is not used within leaseLife is given up.
type lease struct {
	key string

	// mu guards what is below. Nothing waits while it is held.
	mu      sync.Mutex
	left    int
	expires time.Time
	// notBefore is when the bucket is worth asking again.
	notBefore time.Time
	scarce    time.Time // until when tokens are scarce
	// flight is closed when the question that is under way was answered; nil
	// if none is. Who finds one waits for it.
	flight  chan struct{}
	waiting int

	demand float64 // per second
	asked  int     // since
	since  time.Time
	failed bool // the last flight
	// debt is what was accepted without asking while tokens were scarce, and has
	// still to be taken: the shared bucket saved it up meanwhile.
	debt int
}

func newLease(key string) *lease { return &lease{key: key} }

// take takes a token. The wait is meaningful where it is refused.
func (l *lease) take(ctx context.Context, shared Shared, rate float64, burst int) (wait time.Duration, got outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.note(now)
	for begin := now; ; {
		switch {
		case l.left > 0 && now.Before(l.expires):
			l.left--
			return 0, granted
		case now.Before(l.notBefore):
			return l.notBefore.Sub(now), refused
		case now.Sub(begin) > patience:
			return 0, away
		}
		l.left = 0
		if l.flight == nil {
			l.ask(ctx, shared, rate, burst)
		} else {
			l.join(l.flight)
		}
		if l.failed {
			return 0, away
		}
		now = time.Now()
	}
}

// ask asks the shared bucket for tokens, for all who want some. mu is held, but
// not meanwhile. Who goes away leaves the answer to the others.
func (l *lease) ask(ctx context.Context, shared Shared, rate float64, burst int) {
	n := l.want(time.Now(), rate, burst)
	n = min(n+l.debt, max(n, burst))
	flight := make(chan struct{})
	l.flight = flight
	l.mu.Unlock()
	got, retry, err := 0, time.Duration(0), errNoAnswer
	defer func() {
		l.mu.Lock()
		close(flight)
		l.flight, l.failed = nil, err != nil
		if err == nil {
			l.landed(time.Now(), rate, burst, n, min(got, n), retry)
		}
	}()
	got, retry, err = shared.Take(context.WithoutCancel(ctx), l.key, rate, burst, n)
}

// errNoAnswer stands until there is an answer.
var errNoAnswer = errors.New("no answer")

// join waits for somebody else's answer. mu is held, but not meanwhile.
func (l *lease) join(flight chan struct{}) {
	l.waiting++
	l.mu.Unlock()
	<-flight
	l.mu.Lock()
	l.waiting--
}

// alone notes what this process decided by itself. Of a tenant that stays below
// its limit the shared bucket is full anyway, and nothing is owed.
func (l *lease) alone(now time.Time, accepted bool, most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !accepted:
		l.scarce = now.Add(leaseLife)
	case now.Before(l.scarce):
		l.debt = min(l.debt+1, most)
	}
}

// forget gives up what was leased under another limit.
func (l *lease) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left, l.debt, l.notBefore, l.scarce = 0, 0, time.Time{}, time.Time{}
}

// note counts an attempt.
func (l *lease) note(now time.Time) {
	l.asked++
	if d := now.Sub(l.since); d >= demandWindow {
		if d > leaseLife {
			l.demand = 0
		}
		l.demand = (l.demand + float64(l.asked)/d.Seconds()) / 2
		l.asked, l.since = 0, now
	}
}

// want returns how many tokens to lease.
func (l *lease) want(now time.Time, rate float64, burst int) int {
	ahead, most := leaseLife, max(rate*chunk.Seconds(), float64(burst)/8)
	if now.Before(l.scarce) {
		ahead, most = chunk, rate*chunk.Seconds()
	}
	n := min(l.demand*ahead.Seconds(), most)
	return min(max(1, int(n), 1+l.waiting), burst)
}

// landed enters an answer.
func (l *lease) landed(now time.Time, rate float64, burst, n, got int, retry time.Duration) {
	paid := min(l.debt, got)
	l.debt -= paid
	l.left, l.expires = got-paid, now.Add(leaseLife)
	if got == n {
		l.notBefore = time.Time{}
		return
	}
	// Let some more come together before the next question, but never so many
	// that the bucket overflows meanwhile.
	together := min(chunk, seconds(float64(n-1)/rate), seconds(float64(burst)/rate/2))
	l.notBefore, l.scarce = now.Add(max(retry, together)), now.Add(leaseLife)
}
