package quota

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// pot is a Shared in memory, which answers after a while.
type pot struct {
	latency time.Duration
	mu      sync.Mutex
	tokens  map[string]float64
	last    map[string]time.Time
	fail    error
	asked   atomic.Int64
	started atomic.Int64 // less those that stopped
}

func newPot(latency time.Duration) *pot {
	return &pot{latency: latency, tokens: map[string]float64{}, last: map[string]time.Time{}}
}

func (p *pot) Start(context.Context) error { p.started.Add(1); return nil }
func (p *pot) Stop()                       { p.started.Store(0) }

func (p *pot) Take(ctx context.Context, key string, rate float64, burst, n int) (int, time.Duration, error) {
	p.asked.Add(1)
	<-time.After(p.latency)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := errors.Join(p.fail, ctx.Err()); err != nil {
		return 0, 0, err
	}
	now := time.Now()
	if last, ok := p.last[key]; ok {
		p.tokens[key] = min(float64(burst), p.tokens[key]+now.Sub(last).Seconds()*rate)
	} else {
		p.tokens[key] = float64(burst)
	}
	p.last[key] = now
	k := min(n, int(p.tokens[key]))
	p.tokens[key] -= float64(k)
	return k, time.Duration((1 - (p.tokens[key] - math.Floor(p.tokens[key]))) / rate * 1e9), nil
}

func (p *pot) set(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

// load sends statements at random, on average perSecond, until ctx ends. It
// counts those that came through after warm-up.
func load(ctx context.Context, g *Governor, perSecond float64, from time.Time, accepted *atomic.Int64, r *rand.Rand) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(r.ExpFloat64() / perSecond * 1e9)):
		}
		if g.Statement(ctx, acme) == nil && time.Now().After(from) {
			accepted.Add(1)
		}
	}
}

// TestSharedRate: however the load falls on processes, what they accept together
// is the rate, within 3%.
func TestSharedRate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rate  float64
		burst int
		loads []float64 // of each process
	}{
		"even":           {100, 0, []float64{100, 100, 100}},
		"heavy":          {100, 0, []float64{500, 500, 500}},
		"uneven":         {100, 0, []float64{400, 20, 2}},
		"just one":       {100, 0, []float64{300, 0.5, 0.5}},
		"barely over":    {100, 0, []float64{60, 30, 20}},
		"slow":           {5, 0, []float64{4, 4, 4}},
		"very slow":      {1, 5, []float64{4, 2, 0.1}},
		"fast":           {2000, 0, []float64{2000, 1500, 100}},
		"small burst":    {50, 5, []float64{100, 50, 5}},
		"many processes": {100, 0, []float64{20, 20, 20, 20, 20, 20, 20, 20, 20, 1, 1, 1, 1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const warm = 5 * time.Second
				span := time.Duration(max(60, 300/c.rate)) * time.Second
				p := newPot(300 * time.Microsecond)
				var accepted atomic.Int64
				ctx, cancel := context.WithTimeout(t.Context(), warm+span)
				defer cancel()
				var wg sync.WaitGroup
				sum := 0.0
				for i, perSecond := range c.loads {
					g, _ := start(t, all(Limits{StatementsPerSecond: c.rate, StatementBurst: c.burst}), func(cfg *Config) { cfg.Shared = p })
					r := rand.New(rand.NewPCG(1, uint64(i)))
					wg.Go(func() { load(ctx, g, perSecond, time.Now().Add(warm), &accepted, r) })
					sum += perSecond
				}
				wg.Wait()
				ratio := float64(accepted.Load()) / (c.rate * span.Seconds())
				t.Logf("accepted/configured %.3f under %.1f times the load, %.2f questions for each accepted",
					ratio, sum/c.rate, float64(p.asked.Load())/float64(accepted.Load()))
				if ratio < 0.97 || ratio > 1.03 {
					t.Errorf("accepted/configured %.3f", ratio)
				}
			})
		})
	}
}

// While tokens are scarce, fewer are leased ahead.
func TestWant(t *testing.T) {
	t.Parallel()
	now := time.Now()
	scarce := now.Add(time.Second)
	for _, c := range []*struct {
		lease       lease
		rate        float64
		burst, want int
	}{
		{lease{demand: 1000}, 100, 100, 12},
		{lease{demand: 1000, scarce: scarce}, 100, 100, 7},
		{lease{demand: 4}, 100, 100, 4},
		{lease{demand: 4, scarce: scarce}, 100, 100, 1},
		{lease{demand: 1000, scarce: scarce, waiting: 20}, 100, 100, 21},
		{lease{demand: 1000, waiting: 20}, 100, 5, 5},
		{lease{}, 0.1, 1, 1},
	} {
		if got := c.lease.want(now, c.rate, c.burst); got != c.want {
			t.Errorf("%g a second, burst %d, demand %g: %d, want %d", c.rate, c.burst, c.lease.demand, got, c.want)
		}
	}
}

// TestSharedQuiet: who stays below the limit is never refused, and most of its
// statements ask nobody.
func TestSharedQuiet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPot(300 * time.Microsecond)
		var accepted atomic.Int64
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		var govs []*Governor
		for i, perSecond := range []float64{20, 20, 10} {
			g, _ := start(t, all(Limits{StatementsPerSecond: 100}), func(cfg *Config) { cfg.Shared = p })
			govs = append(govs, g)
			wg.Go(func() { load(ctx, g, perSecond, time.Time{}, &accepted, rand.New(rand.NewPCG(2, uint64(i)))) })
		}
		wg.Wait()
		for _, g := range govs {
			if st := g.Stats(); st.Statements.Refused != 0 || st.Fallbacks != 0 {
				t.Errorf("%+v", st)
			}
		}
		if asked := p.asked.Load(); asked > accepted.Load()/4 {
			t.Errorf("%d questions for %d statements", asked, accepted.Load())
		}
	})
}

func TestSharedAway(t *testing.T) {
	t.Parallel()
	for _, processes := range []int{0, 4} {
		synctest.Test(t, func(t *testing.T) {
			p := newPot(0)
			g, _ := start(t, all(Limits{StatementsPerSecond: 100}), func(cfg *Config) { cfg.Shared, cfg.Processes = p, processes })
			part := 100 / max(1, processes)
			if p.started.Load() != 1 {
				t.Error("the shared limits were not started")
			}
			down := errors.New("redis is down")
			p.set(down)
			if n := accepted(t, g, acme); n != part {
				t.Errorf("%d processes: %d alone, want %d", processes, n, part)
			}
			if st := g.Stats(); st.Fallbacks != uint64(part+1) || st.Statements.Allowed != uint64(part) {
				t.Errorf("%+v", st)
			}
			p.set(nil)
			pass(time.Second)
			if n := accepted(t, g, acme); n != 100 {
				t.Errorf("%d processes: %d shared, want the whole burst", processes, n)
			}
			// What was accepted together counts when this process is alone again.
			pass(leaseLife)
			for range 200 {
				_ = g.Statement(t.Context(), acme)
			}
			p.set(down)
			pass(leaseLife / 20)
			if n := accepted(t, g, acme); n > 100/20+1 {
				t.Errorf("%d processes: %d alone after a shared burst", processes, n)
			}
			g.Stop()
			if p.started.Load() != 0 {
				t.Error("the shared limits were not stopped")
			}
		})
	}
}

// TestSharedTogether: those who come while a question is under way wait for its
// answer, and for no other.
func TestSharedTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPot(time.Millisecond)
		g, s := start(t, all(Limits{StatementsPerSecond: 1000, StatementBurst: 30}), func(cfg *Config) { cfg.Shared = p })
		var ok, refused atomic.Int64
		var longest atomic.Int64
		burst := func() {
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					// Who goes away does not spoil the answer.
					ctx, cancel := context.WithCancel(t.Context())
					cancel()
					begin := time.Now()
					if err := g.Statement(ctx, acme); err == nil {
						ok.Add(1)
					} else {
						refused.Add(1)
					}
					longest.Store(max(longest.Load(), int64(time.Since(begin))))
				})
			}
			wg.Wait()
		}
		burst()
		if n := ok.Load(); n < 30 || n > 40 || ok.Load()+refused.Load() != 50 {
			t.Errorf("%d accepted, %d refused", n, refused.Load())
		}
		if d := time.Duration(longest.Load()); d > 4*time.Millisecond || g.Stats().Fallbacks != 0 {
			t.Errorf("the longest waited %s; %+v", d, g.Stats())
		}
		// A changed limit is asked for at once.
		change(t, g, s, all(Limits{StatementsPerSecond: 0.001, StatementBurst: 1}))
		accepted(t, g, acme)
		change(t, g, s, all(Limits{StatementsPerSecond: 1000}))
		pass(10 * time.Millisecond)
		if n := accepted(t, g, acme); n < 9 {
			t.Errorf("%d after a higher limit", n)
		}
	})
}

// TestSharedHiccups: outages add next to nothing to the rate of who is at the limit, and
// take nothing from who is not.
func TestSharedHiccups(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		times float64 // the rate
		want  float64
	}{"over": {2, 1}, "below": {0.3, 0.3}} { // a fifth of the time in outages
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const rate, span = 50, 100 * time.Second
				p := newPot(300 * time.Microsecond)
				var accepted atomic.Int64
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second+span)
				defer cancel()
				var wg sync.WaitGroup
				var govs []*Governor
				for i := range 3 {
					g, _ := start(t, all(Limits{StatementsPerSecond: rate}), func(cfg *Config) { cfg.Shared, cfg.Processes = p, 3 })
					govs = append(govs, g)
					r := rand.New(rand.NewPCG(4, uint64(i)))
					wg.Go(func() { load(ctx, g, rate*c.times/3, time.Now().Add(5*time.Second), &accepted, r) })
				}
				wg.Go(func() {
					for d := 100 * time.Millisecond; ctx.Err() == nil; d = d * 3 % (4 * time.Second) {
						pass(4 * time.Second)
						p.set(errors.New("away"))
						pass(d)
						p.set(nil)
					}
				})
				wg.Wait()
				ratio := float64(accepted.Load()) / (rate * span.Seconds())
				t.Logf("accepted/configured %.3f", ratio)
				if ratio < 0.95*c.want || ratio > 1.05*c.want {
					t.Errorf("accepted/configured %.3f, want %.2f", ratio, c.want)
				}
				for _, g := range govs {
					st := g.Stats()
					if c.times < 1 && st.Statements.Refused > 0 || st.Fallbacks == 0 {
						t.Errorf("%+v", st)
					}
				}
			})
		})
	}
}

// TestSharedSlow: however many come, and however slow the answers are, nobody
// waits for more than one of them, and a moment.
func TestSharedSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const latency = 25 * time.Millisecond
		p := newPot(latency)
		g, _ := start(t, all(Limits{StatementsPerSecond: 100, StatementBurst: 10}), func(cfg *Config) { cfg.Shared = p })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for i := range 100 {
			r := rand.New(rand.NewPCG(3, uint64(i)))
			wg.Go(func() {
				for ctx.Err() == nil {
					begin := time.Now()
					_ = g.Statement(ctx, acme)
					if d := time.Since(begin); d > latency+patience {
						t.Errorf("waited %s", d)
					}
					<-time.After(time.Duration(r.ExpFloat64() * 1e8))
				}
			})
		}
		wg.Wait()
	})
}

var _ lifecycle = (*pot)(nil)

func TestSharedRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPot(0)
		g, _ := start(t, all(Limits{RequestsPerSecond: 10, StatementsPerSecond: 10}), func(cfg *Config) { cfg.Shared = p })
		if d, err := g.Request(t.Context(), acme); err != nil || d.Remaining != 9 || d.Limit != 10 {
			t.Errorf("%+v, %v", d, err)
		}
		_ = g.Statement(t.Context(), acme)
		_ = g.Statement(t.Context(), &tenant.Tenant{ID: "globex"})
		if len(p.tokens) != 3 {
			t.Errorf("buckets %v, want one for each limit and tenant", p.tokens)
		}
	})
}
