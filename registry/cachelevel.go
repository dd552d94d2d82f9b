package registry

import (
	"context"
	"log/slog"
	"time"
)

// Cache is a second level of memory, which processes share: see package
// rediscache. The registry asks it for tenants that this process does not
// remember, before it asks the control plane.
//
// An implementation never makes its caller wait noticeably: what it cannot do
// at once it skips (Get), does later (Put, Invalidate, Flush), or gives up
// (Put). What it was told to forget it returns no more, to nobody in this
// process from the return of Invalidate or Flush on, even where it could not
// tell the other processes. It is safe for concurrent use, but for Open and
// Close.
type Cache interface {
	// Open is called once, before all others. Its error ends Registry's Open:
	// it is about the configuration only, a server that cannot be reached is
	// none.
	Open(ctx context.Context, cfg CacheConfig) error
	// Get returns what is believed of key, or a lease for the answer that the
	// caller is about to ask for elsewhere. Neither: do not offer an answer.
	Get(ctx context.Context, key string) Cached
	// Put offers the answer for a key. It is refused unless lease was
	// returned by Get before the answer was asked for, and the key was not
	// forgotten since, by whatever process. nil gives the lease back.
	Put(key, lease string, value []byte)
	// Invalidate forgets a key. announce also tells the other processes.
	Invalidate(key string, announce bool)
	// Flush forgets all keys.
	Flush()
	// Stats returns what was counted so far.
	Stats() SharedStats
	// Close is called once, if Open succeeded. It ends what runs in the
	// background.
	Close()
}

// CacheConfig is what a registry tells its Cache.
type CacheConfig struct {
	// Namespace tells this control plane from every other that may use the
	// same server: printable ASCII, without braces.
	Namespace string
	// TTL is how long an answer is believed after it was asked for.
	TTL time.Duration
	// Lease is how long an answer may take. Longer is allowed, and useless.
	Lease time.Duration
	// Logger gets what happens in the background.
	Logger *slog.Logger
	// Heard is called with a key that another process announced. It does not
	// block.
	Heard func(key string)
}

// Cached is a Cache's answer.
type Cached struct {
	// Value is nil if nothing is believed of the key. It is the caller's.
	Value []byte
	// Left is how much longer Value may be believed.
	Left time.Duration
	// Lease is for Put. It is empty with a Value, and where Put is useless.
	Lease string
}

// SharedStats counts what a Cache did since it was opened.
type SharedStats struct {
	// Hits and Misses are the questions that were answered.
	Hits, Misses uint64
	// Errors are the calls that failed or took too long, in the background,
	// too.
	Errors uint64
	// Skips are the questions that were not asked, because the server is not
	// trusted at the time.
	Skips uint64
	// Stored and Refused are the answers that were offered and taken, and
	// those that came too late. Dropped were not offered because too many
	// were waiting, or because the server is not trusted.
	Stored, Refused, Dropped uint64
	// Opened is how often the breaker opened.
	Opened uint64
	// Breaker is "closed" while the server is used, "open" while it is left
	// alone, "half-open" while it is tried; empty without a Cache.
	Breaker string
}
