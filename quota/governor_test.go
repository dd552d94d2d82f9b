package quota

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// accepted counts the statements that come through at once.
func accepted(t testing.TB, g *Governor, of *tenant.Tenant) int {
	t.Helper()
	for n := 0; ; n++ {
		if err := g.Statement(t.Context(), of); err != nil {
			limited(t, err, LimitStatements)
			return n
		}
	}
}

// pass lets time go by.
func pass(d time.Duration) { <-time.After(d) }

func TestBucket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, s := start(t, all(Limits{StatementsPerSecond: 10, StatementBurst: 5}))
		if n := accepted(t, g, acme); n != 5 {
			t.Errorf("%d at first, want the burst", n)
		}
		err := limited(t, g.Statement(t.Context(), acme), LimitStatements)
		if err.RetryAfter != 100*time.Millisecond || err.Value != 10 {
			t.Errorf("%+v: want 10 a second, and the next in 100 ms", err)
		}
		pass(err.RetryAfter)
		if n := accepted(t, g, acme); n != 1 {
			t.Errorf("%d after the time to wait", n)
		}
		// A change holds at once, and refills nothing.
		change(t, g, s, all(Limits{StatementsPerSecond: 1000, StatementBurst: 500}))
		if n := accepted(t, g, acme); n != 0 {
			t.Errorf("%d after a higher limit", n)
		}
		pass(100 * time.Millisecond)
		if n := accepted(t, g, acme); n != 100 {
			t.Errorf("%d in 100 ms of the higher limit", n)
		}
		pass(time.Hour)
		change(t, g, s, all(Limits{StatementsPerSecond: 3}))
		if n := accepted(t, g, acme); n != 3 {
			t.Errorf("%d of the lower limit's burst", n)
		}
		if n := accepted(t, g, &tenant.Tenant{ID: "globex"}); n != 3 {
			t.Errorf("%d of another tenant", n)
		}
		change(t, g, s, Policy{})
		for range 1000 {
			if err := g.Statement(t.Context(), acme); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, s := start(t, all(Limits{RequestsPerSecond: 10, RequestBurst: 100}))
		d, err := g.Request(t.Context(), acme)
		if want := (Decision{Allowed: true, Limit: 100, Window: 10 * time.Second, Remaining: 99, Reset: 100 * time.Millisecond}); d != want || err != nil {
			t.Errorf("%+v, %v: want %+v", d, err, want)
		}
		for range 99 {
			d, err = g.Request(t.Context(), acme)
		}
		if d.Remaining != 0 || d.Reset != 10*time.Second || err != nil {
			t.Errorf("the last one: %+v, %v", d, err)
		}
		d, err = g.Request(t.Context(), acme)
		if e := limited(t, err, LimitRequests); d.Allowed || d.Remaining != 0 || d.Limit != 100 || e.RetryAfter != 100*time.Millisecond {
			t.Errorf("one too many: %+v, %+v", d, e)
		}
		change(t, g, s, all(Limits{RequestsPerSecond: 0.1}))
		if d, _ = g.Request(t.Context(), acme); d.Limit != 1 || d.Window != 10*time.Second {
			t.Errorf("a slow one: %+v", d)
		}
		change(t, g, s, Policy{})
		if d, err = g.Request(t.Context(), acme); d != (Decision{Allowed: true}) || err != nil {
			t.Errorf("unlimited: %+v, %v", d, err)
		}
	})
}

func TestTierAndQuarantineChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _ := start(t, Policy{
			Tiers:       map[tenant.Tier]Limits{"pro": {StatementsPerSecond: 100}, "free": {StatementsPerSecond: 10}},
			Lane:        Lane{Limits: Limits{StatementsPerSecond: 1}},
			Quarantined: map[tenant.ID]Quarantine{"noisy": {Until: time.Now().Add(time.Minute)}},
		}, func(c *Config) { c.ReadEvery = time.Hour })
		if n := accepted(t, g, &tenant.Tenant{ID: "acme", Tier: "free"}); n != 10 {
			t.Errorf("%d of free", n)
		}
		pro := &tenant.Tenant{ID: "acme", Tier: "pro"}
		if e := g.Limits(pro); e.StatementsPerSecond != 100 {
			t.Errorf("raised to pro: %+v", e)
		}
		if n := accepted(t, g, pro); n != 0 {
			t.Errorf("another tier refilled the bucket: %d", n)
		}
		noisy := &tenant.Tenant{ID: "noisy", Tier: "pro"}
		if e := g.Limits(noisy); !e.Quarantined || accepted(t, g, noisy) != 1 {
			t.Errorf("in quarantine: %+v", e)
		}
		pass(time.Minute) // it ends without news
		if e := g.Limits(noisy); e.Quarantined || e.StatementsPerSecond != 100 {
			t.Errorf("after quarantine: %+v", e)
		}
	})
}

func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, s := start(t, all(Limits{Concurrency: 1}))
		has := func(n int) {
			t.Helper()
			synctest.Wait()
			if e := g.Limits(acme); e.Concurrency != n {
				t.Errorf("concurrency %d, want %d", e.Concurrency, n)
			}
		}
		s.set(all(Limits{Concurrency: 2}), nil)
		has(1)
		s.tell()
		has(2)
		s.set(all(Limits{Concurrency: 3}), nil)
		pass(34 * time.Second)
		has(3)
		s.set(Policy{}, errors.New("control plane is down"))
		s.tell()
		has(3)
		s.set(all(Limits{Concurrency: -1}), nil)
		s.tell()
		has(3)
		s.set(Policy{Lane: Lane{Limits: Limits{Concurrency: -1}}}, nil)
		s.tell()
		has(3)
		if st := g.Stats(); st.Loads != 3 || st.LoadErrors != 3 {
			t.Errorf("%+v", st)
		}
		g.Stop()
		has(3)
		if len(s.fns) != 0 {
			t.Error("the source still holds the stopped governor")
		}
	})
}

func TestBrokenException(t *testing.T) {
	t.Parallel()
	with := func(exception string, tier int) Policy {
		p := all(Limits{Concurrency: tier})
		p.Tenants = map[tenant.ID]json.RawMessage{"acme": json.RawMessage(exception)}
		return p
	}
	g, s := start(t, with(`{"concurrency":-7}`, 1))
	if e := g.Limits(acme); e.Concurrency != 1 || g.Stats().BadExceptions != 1 {
		t.Errorf("at first: %+v, %+v", e, g.Stats())
	}
	change(t, g, s, with(`{"concurrency":7}`, 2))
	if e := g.Limits(acme); e.Concurrency != 7 {
		t.Errorf("mended: %+v", e)
	}
	change(t, g, s, with(`{"concurency":8}`, 3))
	if e, o := g.Limits(acme), g.Limits(&tenant.Tenant{ID: "other"}); e.Concurrency != 7 || o.Concurrency != 3 {
		t.Errorf("broken again: %+v, others %+v", e, o)
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	down := errors.New("control plane is down")
	s := &source{fail: down}
	g, err := New(Config{Source: s})
	if err != nil {
		t.Fatal(err)
	}
	_, enter := g.Enter(t.Context(), acme)
	_, request := g.Request(t.Context(), acme)
	for _, err := range []error{g.Statement(t.Context(), acme), enter, request} {
		if !errors.Is(err, ErrNotStarted) {
			t.Errorf("before Start: %v", err)
		}
	}
	if e := g.Limits(acme); e == nil || e.Limits != (Limits{}) {
		t.Errorf("before Start: %+v", e)
	}
	if err := g.Start(t.Context()); !errors.Is(err, down) || len(s.fns) != 0 {
		t.Errorf("Start: %v, %d watchers", err, len(s.fns))
	}
	s.set(Policy{}, nil)
	if err := g.Start(t.Context()); err != nil {
		t.Errorf("Start again: %v", err)
	}
	g.Stop()
	g.Stop()
	for _, cfg := range []Config{{}, {Source: s, Processes: -1}, {Source: s, IdleFor: -1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}

func TestLimitError(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]*LimitError{
		"tenant acme is over its limit of statements_per_second = 2.5: try again in 21ms, or raise the limit": {
			Tenant: "acme", Limit: LimitStatements, Value: 2.5, RetryAfter: 20*time.Millisecond + 1,
		},
		"tenant acme is over its limit of storage_bytes = 1000000000000: delete data, or raise the limit": {Tenant: "acme", Limit: LimitStorage, Value: 1e12},
		"tenant acme is over its limit of connections = 3: slow down, or raise the limit":                 {Tenant: "acme", Limit: LimitConnections, Value: 3},
	} {
		if got := err.Error(); got != want || !errors.Is(err, tenant.ErrLimited) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestOnRefuse(t *testing.T) {
	t.Parallel()
	type key struct{}
	var got []string
	g, _ := start(t, all(Limits{StatementsPerSecond: 1, Concurrency: 1}), func(c *Config) {
		c.OnRefuse = func(ctx context.Context, e *LimitError) {
			got = append(got, fmt.Sprint(ctx.Value(key{}), " ", e.Limit))
		}
	})
	ctx := context.WithValue(t.Context(), key{}, "mine")
	_, _ = g.Enter(ctx, acme)
	_, _ = g.Enter(ctx, acme)
	_, _ = g.Statement(ctx, acme), g.Statement(ctx, acme)
	if s := strings.Join(got, ", "); s != "mine concurrency, mine statements_per_second" {
		t.Error(s)
	}
	st := g.Stats()
	if one := (LimitStats{Allowed: 1, Refused: 1}); st.Statements != one || st.Concurrency != one || st.Requests != (LimitStats{}) {
		t.Errorf("%+v", st)
	}
}

// The idle are forgotten, but not who would gain by it.
func TestForget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _ := start(t, Policy{Tiers: map[tenant.Tier]Limits{
			"slow": {StatementsPerSecond: 0.0001}, "fast": {StatementsPerSecond: 10}, "held": {Concurrency: 1},
		}}, func(c *Config) { c.IdleFor = time.Minute })
		touch := func(tier tenant.Tier) {
			x := &tenant.Tenant{ID: tenant.ID(tier), Tier: tier}
			_ = g.Statement(t.Context(), x)
			_, _ = g.Enter(t.Context(), x)
		}
		for _, tier := range []tenant.Tier{"slow", "fast", "held", "none"} {
			touch(tier)
		}
		pass(50 * time.Second)
		touch("none")
		pass(50 * time.Second)
		synctest.Wait()
		if n := g.Stats().Tenants; n != 3 {
			t.Errorf("%d tenants, want slow, held and none", n)
		}
		pass(4 * time.Hour)
		synctest.Wait()
		if n := g.Stats().Tenants; n != 1 {
			t.Errorf("%d tenants, want held", n)
		}
	})
}

// Those who find a tenant at the same time for the first time find the same one.
func TestOneAccount(t *testing.T) {
	t.Parallel()
	var as accounts
	as.init()
	const tenants = 20_000
	var got [4][tenants]*account
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for k := range got {
		wg.Go(func() {
			<-begin
			for i := range tenants {
				got[k][i] = as.get(tenant.ID(fmt.Sprint("t", i)))
			}
		})
	}
	close(begin)
	wg.Wait()
	for _, all := range got {
		if all != got[0] {
			t.Fatal("a tenant has two accounts")
		}
	}
	if n := as.count.Load(); n != tenants {
		t.Errorf("%d accounts of %d tenants", n, tenants)
	}
}

func TestManyTenants(t *testing.T) {
	t.Parallel()
	g, _ := start(t, all(Limits{StatementsPerSecond: 1000, Concurrency: 10}), func(c *Config) { c.MaxTenants = 100 })
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 5000 {
				x := &tenant.Tenant{ID: tenant.ID(fmt.Sprint("t", (i*7+worker)%2000))}
				if err := g.Statement(t.Context(), x); err != nil {
					t.Error(err)
				}
				leave, err := g.Enter(t.Context(), x)
				if err != nil {
					t.Error(err)
					continue
				}
				leave()
				if worker == 0 && i%500 == 0 {
					g.sweepOnce(time.Now())
				}
			}
		})
	}
	wg.Wait()
	later := time.Now().Add(time.Hour)
	g.sweepOnce(later)
	g.sweepOnce(later)
	if st := g.Stats(); st.Tenants != 0 || st.Statements.Allowed != 20000 || st.Concurrency.Allowed != 20000 {
		t.Errorf("%+v", st)
	}
}
