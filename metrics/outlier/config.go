package outlier

import (
	"errors"
	"math"
	"time"
)

// Config tunes a Detector. Zero fields take the defaults.
type Config struct {
	// HalfLife is that of a tenant's history. Default 30 minutes.
	HalfLife time.Duration
	// Warmup is how long a tenant must have been active to have a history. Default
	// 5 minutes.
	Warmup time.Duration
	// Forget is how long a tenant may be idle and be remembered. Default 24 hours.
	Forget time.Duration
	// MaxTenants bounds the tenants in memory, about 600 bytes each; while it is reached, new
	// ones are not judged. Default 100,000.
	MaxTenants int
	// MinTenants with a history make a shard's baseline; tenants of smaller shards are
	// compared with the whole fleet, and with fewer tenants than this in the
	// whole fleet nobody is judged. Default 8.
	MinTenants int
	// Enter and Leave are the evidence from which a tenant is flagged and below
	// which it is not. Defaults 7 and 2.
	Enter, Leave float64
	// LeaveWindows is for how many consecutive windows the evidence must be below Leave.
	// Default 6.
	LeaveWindows int
	// LatencyFactor is how many times its baseline a tenant's geometric mean
	// latency must be. Default 2.5.
	LatencyFactor float64
	// VolumeFactor is the same for statements per second and wait; doubled for database
	// time and rows per second, 0.8 of it for the same per statement. Default 5.
	VolumeFactor float64
	// ErrorRatio is the least ratio of errors that is worth a finding; it must be
	// three times the tenant's and the shard's usual ratio as well. Default 0.05.
	ErrorRatio float64
}

// ErrConfig is returned by New for a Config that makes no sense.
var ErrConfig = errors.New("invalid outlier configuration: thresholds must not be negative, Leave must be below Enter, factors above 1, ErrorRatio below 1")

func (c Config) withDefaults() Config {
	set(&c.HalfLife, 30*time.Minute)
	set(&c.Warmup, 5*time.Minute)
	set(&c.Forget, 24*time.Hour)
	set(&c.MaxTenants, 100_000)
	set(&c.MinTenants, 8)
	set(&c.Enter, 7)
	set(&c.Leave, 2)
	set(&c.LeaveWindows, 6)
	set(&c.LatencyFactor, 2.5)
	set(&c.VolumeFactor, 5)
	set(&c.ErrorRatio, 0.05)
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// check refuses what makes no sense. Comparisons are written so that NaN fails.
func (c Config) check() error {
	counts := c.HalfLife > 0 && c.Warmup > 0 && c.Forget > 0 && c.MaxTenants > 0 && c.MinTenants > 0 && c.LeaveWindows > 0
	evidence := c.Leave > 0 && c.Enter > c.Leave && c.Enter < math.MaxFloat32
	factors := c.LatencyFactor > 1 && c.VolumeFactor > 1 && c.ErrorRatio > 0 && c.ErrorRatio < 1
	if !counts || !evidence || !factors {
		return ErrConfig
	}
	return nil
}

// What experience, not taste, would change.
const (
	slack       = 1.5 // deviations below this many standard deviations are no evidence
	slackShared = 2   // and this many more where tenants differ because of what the shard does
	capped      = 5   // one window's deviation counts for no more than this
	minWindows  = 2   // consecutive windows with evidence
	idleCounts  = 12  // windows without a sample that count as zeros; later ones as absence
	material    = 0.5 // of an even share of the shard: who consumes less harms nobody
	patience    = 1.5 // times the evidence is needed, where one monstrous statement makes some
	strong      = 1.6 // times the factor: what is less
	lasting     = 15  // must have gone on for so many windows, or it is one of the bursts that all have
	newFactor   = 10  // a tenant without a history must exceed the shard's median by this
	floorDev    = 0.2 // a log standard deviation is never taken as less
	priorDev    = 0.5 // before anything is known of a tenant's variance
	priorCount  = 12  // windows that the prior counts for
	clip        = 4   // history learns no deviation beyond this many standard deviations
	openSlower  = 8   // history of a flagged tenant decays this many times slower
	madScale    = 1.4826
	maxLog      = 4.6 // effects are averaged up to 100 times
)
