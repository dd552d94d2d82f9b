package redisconn

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// DialTimeout bounds a connection attempt.
const DialTimeout = time.Second

// Options returns the client's settings for a URL such as
// redis://user:password@host:6379/0 (rediss for TLS, unix:///path for a
// socket), with the TLS settings in place if there are any. A call fails when
// its context ends, and is not repeated.
func Options(url string, config *tls.Config) (*redis.Options, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		// What go-redis says of a URL may repeat it, password included.
		return nil, errors.New("cannot read the Redis URL: want redis://user:password@host:port/database, rediss:// or unix://")
	}
	switch {
	case config == nil:
	case o.TLSConfig == nil:
		return nil, errors.New("TLS settings for a Redis URL without TLS: want rediss://")
	default:
		name := o.TLSConfig.ServerName
		if o.TLSConfig = config.Clone(); o.TLSConfig.ServerName == "" {
			o.TLSConfig.ServerName = name
		}
	}
	o.ContextTimeoutEnabled = true
	o.MaxRetries = -1 // by breaker and next caller, not within one's time
	o.DialerRetries = 1
	o.DialTimeout = DialTimeout
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o, nil
}

// maxPauses is how many times the first pause the longest one is.
const maxPauses = 20

// Pauses are those between attempts in vain: each is twice as long as the one
// before, up to twenty times the first, and varies by up to a quarter.
type Pauses struct {
	First time.Duration
	next  time.Duration
}

// Reset makes the next pause the first again.
func (p *Pauses) Reset() { p.next = 0 }

// Next returns how long the next pause is, about.
func (p *Pauses) Next() time.Duration { return max(p.next, p.First) }

// Wait makes a pause. It returns false if ctx ended.
func (p *Pauses) Wait(ctx context.Context) bool {
	d := p.Next()
	p.next = min(2*d, maxPauses*p.First)
	timer := time.NewTimer(time.Duration(float64(d) * (0.75 + rand.Float64()/2)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
