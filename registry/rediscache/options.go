package rediscache

import (
	"crypto/tls"
	"time"
)

const (
	defaultTimeout = 20 * time.Millisecond
	defaultPrefix  = "gormtenancy"
	// failuresToOpen in a row open the breaker.
	failuresToOpen = 3
)

// Option changes how a Cache works.
type Option func(*Cache)

// Timeout bounds how long a lookup waits for Redis, 20 ms by default. Choose
// a few times what Redis takes normally: three questions in a row that take
// longer open the breaker.
func Timeout(d time.Duration) Option { return func(c *Cache) { c.timeout = d } }

// Prefix begins every key and channel, "gormtenancy" by default. Give
// different ones to two control databases of which one is a copy of the
// other's files and answers under the same address.
func Prefix(p string) Option { return func(c *Cache) { c.prefix = p } }

// Cooldown is how long the breaker stays open before Redis is tried for the
// first time, 500 ms by default. It doubles with each trial in vain, up to
// twenty times the first, and varies by up to a quarter.
func Cooldown(d time.Duration) Option { return func(c *Cache) { c.cooldown = d } }

// TLS sets what a rediss:// URL leaves to the machine's defaults: the authorities that
// are trusted, a certificate of the client's own. Without a ServerName the URL's host is
// the one that is checked. With another URL it is refused by registry.Open.
func TLS(config *tls.Config) Option { return func(c *Cache) { c.tls = config } }
