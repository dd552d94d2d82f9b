package redislimit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"github.com/gormtenancy/gormtenancy/internal/redisconn"
	"github.com/gormtenancy/gormtenancy/internal/service"
)

// ErrAway is Take's error while the breaker is open.
var ErrAway = errors.New("redis is left alone for a while: it did not answer")

const (
	defaultTimeout  = 30 * time.Millisecond
	defaultCooldown = 500 * time.Millisecond
	defaultPrefix   = "gormtenancy"
	// failuresToOpen in a row open the breaker.
	failuresToOpen = 3
)

// Limiter is a quota.Shared in Redis. Obtain one with New, and give it to one
// quota.Governor, which starts and stops it.
type Limiter struct {
	err               error // of New
	prefix            string
	timeout, cooldown time.Duration
	tls               *tls.Config
	log               *slog.Logger

	client *redis.Client // nil if err is not
	gcra   *redis_rate.Limiter
	loops  service.Group

	up     atomic.Bool // the breaker is closed
	broken chan error  // holds one at most

	// mu guards the failures in a row. Nothing waits while it is held.
	mu       sync.Mutex
	failures int
	lastFail time.Time

	taken, errors, skips, opened atomic.Uint64
}

// Option changes how a Limiter works.
type Option func(*Limiter)

// Timeout bounds how long a question waits for Redis, 30 ms by default.
func Timeout(d time.Duration) Option { return func(l *Limiter) { l.timeout = d } }

// Cooldown is how long the breaker stays open before Redis is tried for the
// first time, 500 ms by default. It doubles with each trial in vain, up to
// twenty times the first.
func Cooldown(d time.Duration) Option { return func(l *Limiter) { l.cooldown = d } }

// Prefix is part of every key, "gormtenancy" by default. Give different ones to
// applications that share a Redis and no tenants.
func Prefix(p string) Option { return func(l *Limiter) { l.prefix = p } }

// TLS sets what a rediss:// URL leaves to the machine's defaults: the authorities
// that are trusted, a certificate of the client's own.
func TLS(config *tls.Config) Option { return func(l *Limiter) { l.tls = config } }

// Logger gets what happens in the background. Default slog.Default().
func Logger(log *slog.Logger) Option { return func(l *Limiter) { l.log = log } }

// New returns a limiter in the Redis server at url, such as
// redis://user:password@host:6379/0 (rediss for TLS, unix:///path for a
// socket). It connects to nothing. An error in its arguments is reported by
// Start.
func New(url string, opts ...Option) *Limiter {
	l := &Limiter{
		prefix: defaultPrefix, timeout: defaultTimeout, cooldown: defaultCooldown,
		log: slog.Default(), broken: make(chan error, 1),
	}
	for _, opt := range opts {
		opt(l)
	}
	o, err := redisconn.Options(url, l.tls)
	switch {
	case err != nil:
		l.err = fmt.Errorf("shared limits: %w", err)
	case l.timeout <= 0 || l.cooldown <= 0 || l.prefix == "":
		l.err = fmt.Errorf("shared limits: timeout %s and cooldown %s must be positive, prefix %.64q not empty", l.timeout, l.cooldown, l.prefix)
	default:
		l.client = redis.NewClient(o)
		l.gcra = redis_rate.NewLimiter(l.client)
	}
	return l
}

// Start begins to use Redis, once it answers. It is called by the Governor.
func (l *Limiter) Start(ctx context.Context) error {
	if l.err != nil {
		return l.err
	}
	return l.loops.Start(ctx, l.watch)
}

// Stop ends that, and closes the connections. It is called by the Governor.
func (l *Limiter) Stop() {
	l.loops.Stop()
	l.up.Store(false)
	if l.client != nil {
		_ = l.client.Close() // nothing is pending on it, but for calls that fail now
	}
}

// Take takes up to n tokens; see quota.Shared. It is the Governor's to call.
func (l *Limiter) Take(ctx context.Context, key string, rate float64, burst, n int) (granted int, retryAfter time.Duration, err error) {
	if !l.up.Load() {
		l.skips.Add(1)
		return 0, 0, ErrAway
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	granted, retryAfter, err = l.take(ctx, key, rate, burst, n)
	if err != nil {
		l.failed(begin, err)
		return 0, 0, fmt.Errorf("take tokens from Redis: %w", err)
	}
	l.answered()
	l.taken.Add(uint64(granted))
	return granted, retryAfter, nil
}

// take asks for n, and where there are fewer, for those. AllowAtMost would do it
// at once, but it takes the fraction of a token that it cannot grant, too: at
// small numbers, a third of the rate would be lost.
func (l *Limiter) take(ctx context.Context, key string, rate float64, burst, n int) (int, time.Duration, error) {
	n = min(n, burst)
	if n < 1 || rate <= 0 {
		return 0, 0, fmt.Errorf("%d tokens at %g a second: want positive numbers", n, rate)
	}
	got, err := l.gcra.AllowN(ctx, l.prefix+":"+key, limit(rate, burst), n)
	if err != nil || got.Allowed == n {
		return n, 0, err
	}
	there := float64(n) - got.RetryAfter.Seconds()*rate
	if there >= 1 && n > 1 {
		k := min(int(there), n-1)
		if got, err = l.gcra.AllowN(ctx, l.prefix+":"+key, limit(rate, burst), k); err != nil {
			return 0, 0, err
		}
		if got.Allowed == k {
			return k, wait(1-(there-float64(k)), rate), nil
		}
		there = float64(k) - got.RetryAfter.Seconds()*rate
	}
	return 0, wait(1-there, rate), nil
}

// wait is how long it takes to make a number of tokens.
func wait(tokens, rate float64) time.Duration {
	return time.Duration(min(max(0, tokens/rate)*1e9, math.MaxInt64/2))
}

// limit expresses a rate that need not be whole: as so many in a longer or
// shorter time.
func limit(rate float64, burst int) redis_rate.Limit {
	const many = 1000
	return redis_rate.Limit{Rate: many, Burst: burst, Period: wait(many, rate)}
}

// failed counts a question without an answer, and opens the breaker if it was
// one too many. Those that were asked at the same time are one: a hiccup of the
// machine fails all of them.
func (l *Limiter) failed(begin time.Time, err error) {
	l.errors.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if begin.Before(l.lastFail) {
		return
	}
	l.failures, l.lastFail = l.failures+1, time.Now()
	if l.failures < failuresToOpen || !l.up.CompareAndSwap(true, false) {
		return
	}
	l.opened.Add(1)
	select {
	case l.broken <- err:
	default:
	}
}

// answered ends a row of failures.
func (l *Limiter) answered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = 0
}

// watch closes the breaker when Redis answers, again and again.
func (l *Limiter) watch(ctx context.Context) {
	pauses := redisconn.Pauses{First: l.cooldown}
	for {
		err := l.try(ctx)
		if err == nil {
			pauses.Reset()
			l.answered()
			l.up.Store(true)
			select {
			case <-ctx.Done():
			case err = <-l.broken:
			}
		}
		if ctx.Err() != nil {
			return
		}
		l.log.WarnContext(ctx, "shared limits do without Redis", "retry_in", pauses.Next(), "error", err)
		if !pauses.Wait(ctx) {
			return
		}
	}
}

// try takes a token from a bucket of its own: a server that answers may still
// refuse to write.
func (l *Limiter) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, redisconn.DialTimeout)
	defer cancel()
	_, _, err := l.take(ctx, "trial", 1000, 1000, 1)
	return err
}

// Stats is a snapshot of a Limiter.
type Stats struct {
	// Taken are tokens, Errors questions without an answer, Skips those that
	// were not asked because the breaker was open, Opened how often it opened.
	Taken, Errors, Skips, Opened uint64
	// Up is whether Redis is used.
	Up bool
}

// Stats returns what was counted since New.
func (l *Limiter) Stats() Stats {
	return Stats{
		Taken: l.taken.Load(), Errors: l.errors.Load(), Skips: l.skips.Load(), Opened: l.opened.Load(), Up: l.up.Load(),
	}
}
