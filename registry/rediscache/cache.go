package rediscache

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/gormtenancy/gormtenancy/internal/service"
	"github.com/gormtenancy/gormtenancy/registry"
)

// Cache is a registry.Cache in Redis. Obtain one with New, and give it to one
// registry, which opens and closes it.
type Cache struct {
	redis             *redis.Options
	err               error // of New
	prefix            string
	timeout, cooldown time.Duration
	tls               *tls.Config // nil: as the URL says

	// Set by Open.
	cfg      registry.CacheConfig
	client   *redis.Client
	keys     keys
	instance string // tells this process's announcements from others'
	loops    service.Group

	untold *ledger
	puts   chan put
	// session is nil while the breaker is open.
	session  atomic.Pointer[session]
	trying   atomic.Bool
	counters counters
}

type counters struct {
	hits, misses, errors, skips, stored, refused, dropped, opened atomic.Uint64
}

// New returns a cache in the Redis server at url, such as
// redis://user:password@host:6379/0 (rediss for TLS, unix:///path for a
// socket). It connects to nothing. An error in its arguments is reported by
// registry.Open.
func New(url string, opts ...Option) *Cache {
	c := &Cache{
		prefix: defaultPrefix, timeout: defaultTimeout, cooldown: defaultCooldown,
		instance: token(), untold: newLedger(), puts: make(chan put, maxPuts),
	}
	for _, opt := range opts {
		opt(c)
	}
	// What go-redis says of a URL may repeat it, password included.
	if o, err := redis.ParseURL(url); err != nil {
		c.err = errors.New("cannot read the Redis URL: want redis://user:password@host:port/database, rediss:// or unix://")
	} else {
		c.redis = o
		c.secure()
	}
	return c
}

// secure puts the TLS option in place.
func (c *Cache) secure() {
	switch o := c.redis; {
	case c.tls == nil:
	case o.TLSConfig == nil:
		c.err = errors.New("the Redis cache is given TLS settings and a URL without TLS: want rediss://")
	default:
		name := o.TLSConfig.ServerName
		if o.TLSConfig = c.tls.Clone(); o.TLSConfig.ServerName == "" {
			o.TLSConfig.ServerName = name
		}
	}
}

// Open is called by registry.Open.
func (c *Cache) Open(ctx context.Context, cfg registry.CacheConfig) error {
	switch {
	case c.err != nil:
		return c.err
	case c.client != nil:
		return errors.New("the Redis cache is in use already: make one for each registry")
	case c.timeout <= 0 || c.cooldown <= 0:
		return fmt.Errorf("redis cache: timeout %s and cooldown %s must be positive", c.timeout, c.cooldown)
	case c.prefix == "" || strings.ContainsAny(c.prefix+cfg.Namespace, "{}"):
		return fmt.Errorf("redis cache: prefix %.64q is empty or holds a brace", c.prefix)
	}
	c.cfg, c.keys = cfg, newKeys(c.prefix, cfg.Namespace)
	c.client = redis.NewClient(c.settings())
	return c.loops.Start(ctx, c.connect)
}

// settings are those of the URL, but for what keeps a call from taking longer
// than it may.
func (c *Cache) settings() *redis.Options {
	o := *c.redis
	o.ContextTimeoutEnabled = true
	o.MaxRetries = -1 // by breaker and next caller, not within one's time
	o.DialerRetries = 1
	o.DialTimeout = backgroundTimeout
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &o
}

// Close is called by the registry's Close. What other processes have still to
// be told is sent first, if Redis answers.
func (c *Cache) Close() {
	c.loops.Stop()
	if c.client != nil {
		_ = c.client.Close() // nothing is pending on it
	}
}

// Get is called by the registry.
func (c *Cache) Get(ctx context.Context, key string) registry.Cached {
	s := c.session.Load()
	if s == nil || c.untold.holds(key) {
		c.counters.skips.Add(1)
		return registry.Cached{}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	asked := time.Now()
	got, err := c.ask(ctx, key)
	if err != nil {
		c.failed(s, err)
		return registry.Cached{}
	}
	s.answered()
	if got.Value == nil {
		c.counters.misses.Add(1)
		return got
	}
	c.counters.hits.Add(1)
	got.Left -= time.Since(asked) // Redis counted from some moment in between
	return got
}

// Put is called by the registry.
func (c *Cache) Put(key, lease string, value []byte) {
	if c.session.Load() == nil {
		c.counters.dropped.Add(1)
		return
	}
	select {
	case c.puts <- put{key, lease, value}:
	default:
		c.counters.dropped.Add(1)
	}
}

// Invalidate is called by the registry.
func (c *Cache) Invalidate(key string, announce bool) { c.untold.add(key, announce) }

// Flush is called by the registry.
func (c *Cache) Flush() { c.untold.addAll() }

// Stats is called by the registry's CacheStats.
func (c *Cache) Stats() registry.SharedStats {
	n := &c.counters
	return registry.SharedStats{
		Hits: n.hits.Load(), Misses: n.misses.Load(), Errors: n.errors.Load(), Skips: n.skips.Load(),
		Stored: n.stored.Load(), Refused: n.refused.Load(), Dropped: n.dropped.Load(),
		Opened: n.opened.Load(), Breaker: c.breaker(),
	}
}

func (c *Cache) breaker() string {
	switch {
	case c.session.Load() != nil:
		return "closed"
	case c.trying.Load():
		return "half-open"
	}
	return "open"
}

// failed counts a call that failed, and opens the breaker if it was one too
// many.
func (c *Cache) failed(s *session, err error) {
	c.counters.errors.Add(1)
	if s.failures.Add(1) >= failuresToOpen {
		s.end(err)
	}
}
