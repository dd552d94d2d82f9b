package metrics

import (
	"context"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/service"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Config says how much a Collector remembers. The zero value is good for most.
type Config struct {
	// MaxTenants bounds the tenants that are tracked; the default is 100,000. Of tenants beyond it
	// only sums are kept, until idle ones have made room.
	MaxTenants int
	// IdleAfter is how long a tenant is tracked that does nothing. Default: 15 minutes.
	IdleAfter time.Duration
	// HalfLife is that of whatever is said to be recent, or of late. Default: one minute,
	// at least 10 seconds. Quantiles look back five times as far.
	HalfLife time.Duration
	// Top is the number of tenants with most recent database time that have series of
	// their own in Prometheus; the default is 50, and negative is none. Twice as many
	// may have some at a time, because a tenant keeps its series for Linger.
	Top int
	// Linger is how long a tenant keeps its series when it no longer is one of the
	// top. Default: 10 minutes.
	Linger time.Duration
	// Named tenants always have series of their own, and are tracked always.
	Named []tenant.ID
}

func (c Config) withDefaults() Config {
	if c.MaxTenants <= 0 {
		c.MaxTenants = 100_000
	}
	if c.IdleAfter <= 0 {
		c.IdleAfter = 15 * time.Minute
	}
	if c.HalfLife <= 0 {
		c.HalfLife = time.Minute
	}
	c.HalfLife = max(c.HalfLife, 10*time.Second)
	if c.Top == 0 {
		c.Top = 50
	}
	c.Top = max(c.Top, 0)
	if c.Linger <= 0 {
		c.Linger = 10 * time.Minute
	}
	return c
}

const (
	numStripes = 256
	// tickShift makes ticks of nanoseconds: 4.3 s, in which nothing decays.
	tickShift = 32
	// clockEvery is how often the clock of a started Collector is set.
	clockEvery = 250 * time.Millisecond
	// others is the name of whatever has none of its own.
	others = "_other"
)

// Collector counts what tenants do. It is made by New, and safe for concurrent use.
//
// Locks: mu, then a stripe's, then an entry's or a cell's. Observe takes the last
// two one after another, never together, and waits for no lock that all tenants share.
type Collector struct {
	config   Config
	halving  uint32 // ticks after which quantiles' counts are halved
	base     time.Time
	seed     maphash.Seed
	group    service.Group
	clock    atomic.Int64 // nanoseconds since base; zero: nobody sets it
	stripes  [numStripes]stripe
	tracked  atomic.Int64
	shared   *entry
	named    map[tenant.ID]bool // immutable
	shards   atomic.Pointer[map[string]*shard]
	describe descriptions

	newShards sync.Mutex // held while shards is replaced

	// mu guards what follows, and is held by a scrape and by a sweep, so that none
	// of them misses or counts twice what the other moves.
	mu       sync.Mutex
	evicted  Usage // the counts of tenants that were
	evictees uint64
	former   Usage // the counts of series that were
	flagged  map[tenant.ID]bool
	exposed  map[tenant.ID]*exposure
	scrapes  uint64
}

// stripe holds the tenants whose IDs hash to it.
type stripe struct {
	mu      sync.RWMutex // guards tenants and rest
	tenants map[tenant.ID]*entry
	rest    *entry   // of all for whom there is no room; nil until there are some
	_       [24]byte // keeps neighbours off the cache line
}

// New returns a Collector that is ready. Start makes it cheaper and lets it forget
// idle tenants.
func New(config Config) *Collector {
	c := &Collector{
		config: config.withDefaults(), base: time.Now(), seed: maphash.MakeSeed(), describe: describe(),
		named: map[tenant.ID]bool{}, flagged: map[tenant.ID]bool{}, exposed: map[tenant.ID]*exposure{},
	}
	c.halving = max(1, uint32(5*c.config.HalfLife>>tickShift))
	for _, id := range config.Named {
		c.named[id] = true
	}
	for i := range c.stripes {
		c.stripes[i].tenants = map[tenant.ID]*entry{}
	}
	none := &shard{}
	c.shards.Store(&map[string]*shard{"": none, others: {name: others}})
	c.shared = &entry{shard: none}
	return c
}

// Start keeps a clock, so that Observe need not ask for the time, and evicts idle
// tenants in the background, until Stop. It fails on a second call, and after Stop.
func (c *Collector) Start(ctx context.Context) error {
	return c.group.Start(ctx, c.run)
}

// Stop ends what Start began. What was counted stays.
func (c *Collector) Stop() { c.group.Stop() }

func (c *Collector) run(ctx context.Context) {
	defer c.clock.Store(0)
	every := max(c.config.IdleAfter/15, time.Second)
	swept := time.Now()
	ticker := time.NewTicker(clockEvery)
	defer ticker.Stop()
	for {
		c.clock.Store(int64(time.Since(c.base)) + 1)
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if now.Sub(swept) >= every {
				c.Sweep(now)
				swept = now
			}
		}
	}
}

// now returns nanoseconds since base.
func (c *Collector) now() int64 {
	if now := c.clock.Load(); now != 0 {
		return now
	}
	return int64(time.Since(c.base))
}

func (c *Collector) wall(at int64) time.Time { return c.base.Add(time.Duration(at)) }

// decay returns what is left at now of something recent of that tick.
func (c *Collector) decay(now int64, tick uint32) float32 {
	ticks := int64(now>>tickShift) - int64(tick)
	if ticks <= 0 {
		return 1
	}
	return float32(math.Exp2(-float64(ticks<<tickShift) / float64(c.config.HalfLife)))
}

// weight returns by how many seconds to divide something recent to have its rate,
// for a tenant seen first at that time: the integral of the decay since then.
func (c *Collector) weight(now, first int64) float64 {
	const tick = float64(1 << tickShift)
	decay := math.Exp2(-tick / float64(c.config.HalfLife))
	whole := now>>tickShift - first>>tickShift // ticks that have decayed
	if whole == 0 {
		return max(float64(now-first)/1e9, 1)
	}
	current := float64(now - now>>tickShift<<tickShift)
	oldest := float64((first>>tickShift+1)<<tickShift - first)
	past := tick * decay * (1 - math.Pow(decay, float64(whole-1))) / (1 - decay)
	return max((current+past+oldest*math.Pow(decay, float64(whole)))/1e9, 1)
}
