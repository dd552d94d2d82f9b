package quota

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// enter gets in, or fails.
func enter(t testing.TB, g *Governor, x *tenant.Tenant) (leave func()) {
	t.Helper()
	leave, err := g.Enter(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	return leave
}

func TestQueueIsFair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _ := start(t, all(Limits{Concurrency: 1, Queue: 3}))
		leave := enter(t, g, acme)
		var order []int
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				l, err := g.Enter(t.Context(), acme)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, i)
				l()
			})
			synctest.Wait() // one behind the other
		}
		if st := g.Stats().Concurrency; st.Waiting != 3 {
			t.Errorf("%+v", st)
		}
		_, err := g.Enter(t.Context(), acme)
		limited(t, err, LimitConcurrency)
		enter(t, g, &tenant.Tenant{ID: "globex"})() // nobody else is delayed
		pass(time.Second)
		leave()
		wg.Wait()
		if len(order) != 3 || order[0] != 0 || order[1] != 1 || order[2] != 2 {
			t.Errorf("order %v", order)
		}
		if st := g.Stats().Concurrency; st.Waiting != 0 || st.Queued != 3 || st.Allowed != 5 || st.Refused != 1 || st.QueueTime != 3*time.Second {
			t.Errorf("%+v", st)
		}
	})
}

func TestQueueEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _ := start(t, all(Limits{Concurrency: 1, Queue: 3}))
		leave := enter(t, g, acme)
		begin := time.Now()
		_, err := g.Enter(t.Context(), acme)
		limited(t, err, LimitConcurrency)
		if d := time.Since(begin); d != DefaultQueueTimeout {
			t.Errorf("waited %s", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = g.Enter(ctx, acme)
		if limited(t, err, LimitConcurrency); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a deadline in the queue: %v", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		go cancel()
		if _, err = g.Enter(ctx, acme); !errors.Is(err, context.Canceled) || errors.Is(err, tenant.ErrLimited) {
			t.Errorf("gone: %v", err)
		}
		leave()
		enter(t, g, acme)()
	})
}

func TestLeaveTwice(t *testing.T) {
	t.Parallel()
	g, _ := start(t, all(Limits{Concurrency: 1}))
	leave := enter(t, g, acme)
	leave()
	again := enter(t, g, acme) // in the same place
	leave()
	if _, err := g.Enter(t.Context(), acme); err == nil {
		t.Error("a second leave gave somebody else's place away")
	}
	again()
	var none Slot
	none.Leave()
}

func TestConcurrencyChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, s := start(t, all(Limits{Concurrency: 1, Queue: 10}))
		enter(t, g, acme)
		var in atomic.Int64
		for range 4 {
			go func() {
				if _, err := g.Enter(t.Context(), acme); err == nil {
					in.Add(1)
				}
			}()
		}
		has := func(n int64) {
			t.Helper()
			synctest.Wait()
			if in.Load() != n {
				t.Errorf("%d are in, want %d", in.Load(), n)
			}
		}
		has(0)
		change(t, g, s, all(Limits{Concurrency: 3, Queue: 10}))
		g.Limits(acme)
		has(2)
		change(t, g, s, Policy{})
		g.Limits(acme)
		has(4)
		change(t, g, s, all(Limits{Concurrency: 5}))
		if _, err := g.Enter(t.Context(), acme); err == nil {
			t.Error("those that were in before are not counted")
		}
	})
}

// TestConcurrencyHolds: however they come and go, never more than the limit are
// in, and nothing is left at the end.
func TestConcurrencyHolds(t *testing.T) {
	t.Parallel()
	const limit = 3
	g, _ := start(t, all(Limits{Concurrency: limit, Queue: 8, QueueTimeout: Duration(2 * time.Millisecond)}))
	var in, most, got atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 500 {
				ctx, cancel := context.WithTimeout(t.Context(), rand.N(4*time.Millisecond))
				leave, err := g.Enter(ctx, acme)
				if err == nil {
					got.Add(1)
					if n := in.Add(1); n > limit {
						most.Store(n)
					}
					if rand.IntN(2) == 0 {
						<-time.After(rand.N(200 * time.Microsecond))
					}
					in.Add(-1)
					leave()
					leave()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if most.Load() > 0 || got.Load() == 0 {
		t.Errorf("%d were in at the same time, %d in all", most.Load(), got.Load())
	}
	a := g.accounts.get(acme.ID)
	if a.gate.inUse != 0 || a.gate.queued != 0 || a.gate.first != nil {
		t.Errorf("left behind: %+v", &a.gate)
	}
	for range limit {
		enter(t, g, acme)
	}
}
