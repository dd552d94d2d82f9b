package pool_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
)

// An idle connection gives way, the one that has idled longest of all the pools.
func TestTheLongestIdleGivesWay(t *testing.T) {
	t.Parallel()
	s, b := new(server), pool.NewBudget(3, 0)
	cfg := pool.Config{Budget: b}
	x, y, z := s.pool(t, "x", cfg), s.pool(t, "y", cfg), s.pool(t, "z", cfg)
	old, young, mid := x.acquire(t, "a"), x.acquire(t, "a"), y.acquire(t, "a")
	old.Release()
	mid.Release()
	young.Release()
	c := z.acquire(t, "a")
	if x.Stats().Open != 1 || y.Stats().Open != 1 {
		t.Errorf("not the longest idle gave way: x %+v\ny %+v", x.Stats(), y.Stats())
	}
	d := z.acquire(t, "a")
	if got := x.Stats(); got.Open != 1 || got.RetiredBudget != 1 {
		t.Errorf("x: %+v", got)
	}
	if got := y.Stats(); got.Open != 0 || got.RetiredBudget != 1 {
		t.Errorf("y: %+v", got)
	}
	again := x.acquire(t, "a")
	if again != young {
		t.Error("the connection that was used last gave way")
	}
	if used, total := b.Usage(); used != 3 || total != 3 || s.worst.Load() != 3 {
		t.Errorf("%d of %d are used, %d were open", used, total, s.worst.Load())
	}
	for _, c := range []*pool.Conn{again, c, d} {
		c.Release()
	}
}

// A pool that has more than its share gives places up to one that has less, although
// its own callers wait; when they are even it keeps them.
func TestABusyPoolGivesUpItsShare(t *testing.T) {
	t.Parallel()
	s := new(server)
	cfg := pool.Config{Budget: pool.NewBudget(4, 0)}
	busy, late := s.pool(t, "busy", cfg), s.pool(t, "late", cfg)
	var held []*pool.Conn
	for range 4 {
		held = append(held, busy.acquire(t, "a"))
	}
	own, others := make(chan turn, 10), make(chan turn, 10)
	busy.queueUp(t, pool.Claim{Owner: "a"}, 4, own)
	late.queueUp(t, pool.Claim{Owner: "a"}, 4, others)
	for i := range 2 {
		held[i].Release()
		held[i] = await(t, "the late pool's share", others).c
	}
	for i := range 2 {
		held[i+2].Release()
		held[i+2] = await(t, "the busy pool's own", own).c
	}
	if b, l := busy.Stats(), late.Stats(); b.Open != 2 || l.Open != 2 || b.Waiting != 2 || l.Waiting != 2 || b.RetiredBudget != 2 {
		t.Fatalf("busy %+v\nlate %+v", b, l)
	}
	for _, c := range held {
		c.Release()
	}
	for range 2 {
		await(t, "the rest", own).c.Release()
		await(t, "the rest", others).c.Release()
	}
	if s.worst.Load() > 4 {
		t.Errorf("%d were open", s.worst.Load())
	}
}

// What nobody of its own pool waits for goes to another at once; what somebody does wait
// for, where there are fewer places than pools, when it was kept for a turn.
func TestTheOnlyPlaceGoesRound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := pool.Config{Budget: pool.NewBudget(1, 0)}
		x, y := new(server).pool(t, "x", cfg), new(server).pool(t, "y", cfg)
		served := map[*node]chan turn{x: make(chan turn, 2), y: make(chan turn, 2)}
		wait := func(n *node) {
			go func() {
				c, _ := n.Acquire(t.Context(), pool.Claim{Owner: "a"})
				served[n] <- turn{"a", c}
			}()
			synctest.Wait()
		}
		gets := func(n *node) *pool.Conn {
			t.Helper()
			synctest.Wait()
			select {
			case next := <-served[n]:
				return next.c
			default:
				t.Fatalf("x %+v\ny %+v", x.Stats(), y.Stats())
				return nil
			}
		}
		held := x.acquire(t, "a")
		wait(y)
		held.Release()
		held = gets(y)
		wait(x)
		wait(y)
		held.Release() // y's turn has just begun
		held = gets(y)
		wait(y)
		time.Sleep(time.Second)
		held.Release()
		held = gets(x)
		time.Sleep(time.Second)
		held.Release()
		gets(y).Release()
	})
}

// Where there are more pools than places, each gets its turn.
func TestMorePoolsThanPlaces(t *testing.T) {
	t.Parallel()
	s := new(server)
	cfg := pool.Config{Budget: pool.NewBudget(2, 0)}
	var wg sync.WaitGroup
	deadline := time.Now().Add(20 * time.Second)
	done := make(chan struct{})
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		n := s.pool(t, name, cfg)
		for range 3 { // callers that never leave their pool without a waiter
			wg.Go(func() {
				for served := 0; served < 50 || !closed(done); served++ {
					c, err := n.Acquire(t.Context(), pool.Claim{Owner: "x"})
					if err != nil || time.Now().After(deadline) {
						t.Errorf("%s got %d: %v", name, served, err)
						return
					}
					c.Release()
					if name == "e" && served == 50 {
						closeOnce(done)
					}
				}
			})
		}
	}
	wg.Wait()
	if s.worst.Load() > 2 {
		t.Errorf("%d were open", s.worst.Load())
	}
}

var closing sync.Mutex

func closeOnce(ch chan struct{}) {
	closing.Lock()
	defer closing.Unlock()
	if !closed(ch) {
		close(ch)
	}
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// A server has a bound of its own: only pools of it give way, and others do not wait.
func TestEachServersBound(t *testing.T) {
	t.Parallel()
	s, b := new(server), pool.NewBudget(10, 2)
	one := s.pool(t, "one", pool.Config{Budget: b, Server: "h1"})
	two := s.pool(t, "two", pool.Config{Budget: b, Server: "h1"})
	far := s.pool(t, "far", pool.Config{Budget: b, Server: "h2"})
	first, second, other := one.acquire(t, "a"), one.acquire(t, "a"), far.acquire(t, "a")
	other.Release()
	served := make(chan turn, 1)
	two.queueUp(t, pool.Claim{Owner: "a"}, 1, served)
	first.Release()
	got := await(t, "the server's place", served).c
	if far.Stats().Open != 1 || one.Stats().Open != 1 {
		t.Errorf("another server's connection gave way: %+v", far.Stats())
	}
	got.Release()
	second.Release()
}

// A place is free when the server has ended its session, not before.
func TestAPlaceIsFreeWhenTheServerIsDone(t *testing.T) {
	t.Parallel()
	s := &server{ends: make(chan struct{})}
	cfg := pool.Config{Budget: pool.NewBudget(1, 0)}
	x, y := s.pool(t, "x", cfg), s.pool(t, "y", cfg)
	x.acquire(t, "a").Release()
	served := make(chan turn, 1)
	y.queueUp(t, pool.Claim{Owner: "a"}, 1, served)
	if s.opened.Load() != 1 || x.Stats().Open != 1 {
		t.Fatal("the place was given away before its connection had ended")
	}
	s.ends <- struct{}{}
	c := await(t, "the place", served).c
	close(s.ends)
	c.Release()
}

// Failed attempts and callers that give up lose no place.
func TestTheBudgetLosesNoPlace(t *testing.T) {
	t.Parallel()
	s, b := new(server), pool.NewBudget(3, 0)
	cfg := pool.Config{Budget: b, MaxTenants: 2}
	pools := []*node{s.pool(t, "x", cfg), s.pool(t, "y", cfg), s.pool(t, "z", cfg)}
	var wg sync.WaitGroup
	for i := range 30 {
		n, owner := pools[i%3], string(rune('a'+i%7))
		wg.Go(func() {
			for j := range 100 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(j%5)*50*time.Microsecond)
				if j%5 == 0 {
					cancel()
					ctx, cancel = context.WithCancel(t.Context())
				}
				if c, err := n.Acquire(ctx, pool.Claim{Owner: owner, Conns: i % 2}); err == nil {
					c.Release()
				} else if !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if s.worst.Load() > 3 {
		t.Errorf("%d were open", s.worst.Load())
	}
	for _, n := range pools {
		n.Sweep(time.Now().Add(time.Hour))
		if got := n.Stats(); got.Waiting != 0 || got.InUse() != 0 {
			t.Errorf("%+v", got)
		}
	}
	eventually(t, "all places to be free", func() bool { used, _ := b.Usage(); return used == 0 })
	for _, n := range pools {
		n.acquire(t, "a").Release()
	}
}

// lending is a Connector whose connections are another pool's.
type lending struct{ *server }

func (lending) Lends() {}

// No Budget counts what is lent: two pools of one lender cannot wait for each other.
func TestALenderHasNoBudget(t *testing.T) {
	t.Parallel()
	s, b := new(server), pool.NewBudget(1, 0)
	own := s.pool(t, "own", pool.Config{Budget: b})
	lent := pool.New(pool.Config{Budget: b, Connector: lending{s}})
	t.Cleanup(lent.Close)
	c := own.acquire(t, "a")
	for range 2 {
		d, err := lent.Acquire(t.Context(), pool.Claim{Owner: "a"})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Release()
	}
	if used, _ := b.Usage(); used != 1 {
		t.Errorf("%d places are used", used)
	}
	c.Release()
}
