package quota

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/service"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Config configures a Governor. Source is required.
type Config struct {
	// Source knows the policy.
	Source Source
	// Shared makes all processes share the rates of statements and requests.
	// Default: each process has its own buckets.
	Shared Shared
	// Processes is how many processes share the rates, about. While the shared
	// buckets cannot be asked, each one admits its part by itself. Default: it
	// is not known, and each one admits the full rate meanwhile.
	Processes int
	// ReadEvery is how often the policy is read again without notice. Default 30 s.
	ReadEvery time.Duration
	// ReadTimeout bounds one reading. Default 10 s.
	ReadTimeout time.Duration
	// IdleFor is after how long a tenant that does nothing is forgotten. One
	// whose buckets are not full again, or that has something under way, is
	// kept. Default 15 min.
	IdleFor time.Duration
	// MaxTenants is how many tenants are remembered before those that do nothing
	// are forgotten earlier, after a quarter of IdleFor. Default 100,000.
	MaxTenants int
	// OnRefuse is called with each refusal. It returns at once.
	OnRefuse func(context.Context, *LimitError)
	// Logger gets what happens in the background. Default slog.Default().
	Logger *slog.Logger
}

func (cfg Config) withDefaults() (Config, error) {
	if cfg.Source == nil {
		return cfg, errors.New("quota: no Config.Source: give it the registry that knows the limits")
	}
	if cfg.Processes < 0 || cfg.ReadEvery < 0 || cfg.ReadTimeout < 0 || cfg.IdleFor < 0 || cfg.MaxTenants < 0 {
		return cfg, errors.New("quota: a negative number in Config: leave it out for the default")
	}
	if cfg.ReadEvery == 0 {
		cfg.ReadEvery = 30 * time.Second
	}
	if cfg.ReadTimeout == 0 {
		cfg.ReadTimeout = 10 * time.Second
	}
	if cfg.IdleFor == 0 {
		cfg.IdleFor = 15 * time.Minute
	}
	if cfg.MaxTenants == 0 {
		cfg.MaxTenants = 100_000
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg, nil
}

// Governor holds tenants to their limits. It is safe for concurrent use. Obtain
// one with New; Start and Stop it.
type Governor struct {
	cfg      Config
	policy   atomic.Pointer[policy] // nil until Start
	accounts accounts
	changed  chan struct{} // holds one at most
	shared   lifecycle     // nil if Config.Shared needs none
	share    int
	loops    service.Group

	fallbacks, loads, loadErrors, badExceptions atomic.Uint64
}

// lifecycle is what a Shared may have besides.
type lifecycle interface {
	Start(ctx context.Context) error
	Stop()
}

// New returns a Governor that was not started.
func New(cfg Config) (*Governor, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	g := &Governor{cfg: cfg, changed: make(chan struct{}, 1)}
	g.accounts.init()
	g.shared, _ = cfg.Shared.(lifecycle)
	if cfg.Shared != nil {
		g.share = cfg.Processes
	}
	return g, nil
}

// Limits returns what holds for t: from memory, never nil, without allocation
// unless something changed. Before Start, that is nothing.
func (g *Governor) Limits(t *tenant.Tenant) *Effective {
	if _, e := g.find(t); e != nil {
		return e
	}
	return &Effective{tier: t.Tier}
}

// find returns the account of t and what holds for it, nil before Start.
func (g *Governor) find(t *tenant.Tenant) (*account, *Effective) {
	a, p := g.accounts.get(t.ID), g.policy.Load()
	if epoch := g.accounts.epoch.Load(); a.used.Load() != epoch {
		a.used.Store(epoch)
	}
	e := a.effective.Load()
	if e != nil && e.policy == p && e.tier == t.Tier && (e.until == 0 || time.Now().UnixNano() < e.until) {
		return a, e
	}
	if p == nil {
		return a, nil
	}
	return a, a.settle(p, t, g.share)
}

// Statement takes one token of the tenant's statements, unless it owes database time
// (Spend). Its error is a *LimitError, or ErrNotStarted. It waits for nothing, but for
// Config.Shared.
func (g *Governor) Statement(ctx context.Context, t *tenant.Tenant) error {
	a, e := g.find(t)
	if e == nil {
		return ErrNotStarted
	}
	if e.DatabaseShare > 0 {
		if wait := a.debt.wait(time.Now()); wait > 0 {
			return g.refuse(ctx, a, database, LimitDatabase, e.DatabaseShare, wait)
		}
		a.counters[database].allowed.Add(1)
	}
	if e.StatementsPerSecond == 0 {
		return nil
	}
	wait, ok := a.statements.take(ctx, g, a, statements, e.StatementsPerSecond, e.StatementBurst)
	if ok {
		a.counters[statements].allowed.Add(1)
		return nil
	}
	return g.refuse(ctx, a, statements, LimitStatements, e.StatementsPerSecond, wait)
}

// Request takes one token of the tenant's requests, and tells what is left. Its
// error is that of Statement.
func (g *Governor) Request(ctx context.Context, t *tenant.Tenant) (Decision, error) {
	a, e := g.find(t)
	if e == nil {
		return Decision{}, ErrNotStarted
	}
	if e.RequestsPerSecond == 0 {
		return Decision{Allowed: true}, nil
	}
	wait, ok := a.requests.take(ctx, g, a, requests, e.RequestsPerSecond, e.RequestBurst)
	d := a.requests.decision(e.RequestsPerSecond, e.RequestBurst, wait, ok)
	if ok {
		a.counters[requests].allowed.Add(1)
		return d, nil
	}
	return d, g.refuse(ctx, a, requests, LimitRequests, e.RequestsPerSecond, wait)
}

// Enter waits for a place among the tenant's Concurrency, behind those of the
// same tenant that came before, and returns what gives it back; to call that
// more than once does no harm. Its error is a *LimitError where the queue is
// full or the wait was too long, wrapped together with
// context.DeadlineExceeded where ctx's deadline came first; what ended ctx
// otherwise; or ErrNotStarted.
//
// It is not re-entrant: who holds a place and enters again may wait for
// itself. A transaction enters once, its statements do not.
func (g *Governor) Enter(ctx context.Context, t *tenant.Tenant) (leave func(), err error) {
	s, err := g.Acquire(ctx, t)
	if err != nil {
		return nil, err
	}
	if s.slot == nil {
		return nothing, nil
	}
	return s.Leave, nil
}

func nothing() {}

// Acquire is Enter without its allocation.
func (g *Governor) Acquire(ctx context.Context, t *tenant.Tenant) (Slot, error) {
	for {
		a, e := g.find(t)
		if e == nil {
			return Slot{}, ErrNotStarted
		}
		if e.Concurrency == 0 {
			return Slot{}, nil
		}
		s, err := a.gate.enter(ctx, e.Queue, time.Duration(e.QueueTimeout), &a.counters[concurrency])
		if err == nil {
			a.counters[concurrency].allowed.Add(1)
			return s, nil
		}
		if err != errShut {
			return Slot{}, g.kept(ctx, a, e, err)
		}
	}
}

// kept says why somebody was kept out.
func (g *Governor) kept(ctx context.Context, a *account, e *Effective, err error) error {
	late := errors.Is(err, context.DeadlineExceeded)
	if !late && err != errFull && err != errTooLong {
		return fmt.Errorf("wait for a turn of tenant %s: %w", a.id, err)
	}
	limited := g.refuse(ctx, a, concurrency, LimitConcurrency, float64(e.Concurrency), a.gate.patience())
	if late {
		return fmt.Errorf("%w: %w", limited, err)
	}
	return limited
}

func (g *Governor) refuse(ctx context.Context, a *account, kind int, limit string, value float64, wait time.Duration) error {
	a.counters[kind].refused.Add(1)
	err := &LimitError{Tenant: a.id, Limit: limit, Value: value, RetryAfter: max(wait, time.Nanosecond)}
	if g.cfg.OnRefuse != nil {
		g.cfg.OnRefuse(ctx, err)
	}
	return err
}
