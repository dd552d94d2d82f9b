package pool_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// An owner that queues 500 callers does not delay another's first one; its own are
// served in their order.
func TestOwnersAreServedInTurn(t *testing.T) {
	t.Parallel()
	n := new(server).pool(t, "s1", pool.Config{MaxConns: 1})
	held := n.acquire(t, "a")
	served := make(chan turn, 600)
	n.queueUp(t, pool.Claim{Owner: "a"}, 500, served)
	n.queueUp(t, pool.Claim{Owner: "b"}, 2, served)
	n.queueUp(t, pool.Claim{Owner: "c"}, 1, served)
	if s := n.Stats(); s.Waiting != 503 || s.WaitingOwners != 3 {
		t.Fatalf("%+v", s)
	}
	var order []string
	for range 503 {
		held.Release()
		next := await(t, "the next", served)
		order = append(order, next.who)
		if held = next.c; held == nil {
			t.FailNow()
		}
	}
	held.Release()
	if want := []string{"a0", "b0", "c0", "a1", "b1", "a2", "a3"}; !slices.Equal(order[:7], want) {
		t.Fatalf("served %v, want %v", order[:7], want)
	}
	if order[502] != "a499" {
		t.Fatalf("the last one served is %s", order[502])
	}
}

// Who is at its cap waits although connections are free, and nobody else with it.
func TestAnOwnersCap(t *testing.T) {
	t.Parallel()
	n := new(server).pool(t, "s1", pool.Config{MaxConns: 5})
	capped := pool.Claim{Owner: "a", Conns: 2}
	one, two := n.claim(t, capped), n.claim(t, capped)
	served := make(chan turn, 3)
	n.queueUp(t, capped, 3, served)
	other := n.acquire(t, "b")
	if s := n.Stats(); s.Open != 3 || s.Waiting != 3 {
		t.Fatalf("%+v", s)
	}
	other.Release() // idle, and still not for a
	if s := n.Stats(); s.Idle != 1 || s.Waiting != 3 {
		t.Fatalf("%+v", s)
	}
	one.Release()
	first := await(t, "the first", served)
	two.Touch("c") // a shared handle moves on to another tenant
	second := await(t, "the second", served)
	first.c.Release()
	third := await(t, "the third", served)
	for _, c := range []*pool.Conn{two, second.c, third.c} {
		c.Release()
	}
	if s := n.Stats(); s.Idle != s.Open || s.Open > 4 {
		t.Fatalf("%+v", s)
	}
}

// All the lane's claims together use LaneConns connections; the others do not wait
// for them.
func TestTheLane(t *testing.T) {
	t.Parallel()
	n := new(server).pool(t, "s1", pool.Config{MaxConns: 10})
	var held []*pool.Conn
	for _, owner := range []string{"a", "b"} {
		held = append(held, n.claim(t, pool.Claim{Owner: owner, Lane: true}))
	}
	served := make(chan turn, 2)
	n.queueUp(t, pool.Claim{Owner: "c", Lane: true}, 1, served)
	n.queueUp(t, pool.Claim{Owner: "a", Lane: true}, 1, served)
	for range 8 {
		held = append(held, n.acquire(t, "free"))
	}
	if s := n.Stats(); s.Lane != pool.DefaultLaneConns || s.Waiting != 2 || s.Open != 10 {
		t.Fatalf("%+v", s)
	}
	held[0].Release()
	if next := await(t, "the lane's next", served); next.who != "c0" {
		t.Fatalf("served %s", next.who)
	} else {
		held[0] = next.c
	}
	held[1].Release()
	held[1] = await(t, "the lane's last", served).c
	for _, c := range held {
		c.Release()
	}
	if s := n.Stats(); s.Lane != 0 || s.Idle != 10 {
		t.Fatalf("%+v", s)
	}
}

// One too many of an owner's callers is refused at once, another owner's is not.
func TestMaxWaiting(t *testing.T) {
	t.Parallel()
	n := new(server).pool(t, "s1", pool.Config{MaxConns: 1, MaxWaiting: 2})
	held := n.acquire(t, "x")
	served := make(chan turn, 3)
	n.queueUp(t, pool.Claim{Owner: "a"}, 2, served)
	_, err := n.Acquire(t.Context(), pool.Claim{Owner: "a"})
	var full *pool.FullError
	if !errors.As(err, &full) || full.Waiting != 2 || !errors.Is(err, tenant.ErrLimited) || !strings.Contains(err.Error(), "tenant a") {
		t.Fatalf("got %v", err)
	}
	n.queueUp(t, pool.Claim{Owner: "b"}, 1, served)
	held.Release()
	for range 3 {
		await(t, "a waiter", served).c.Release()
	}
	if s := n.Stats(); s.Refused != 1 || s.Waits != 3 {
		t.Fatalf("%+v", s)
	}
}

// Waited tells of waiting and of opening, not of an idle connection.
func TestWaited(t *testing.T) {
	t.Parallel()
	n := new(server).pool(t, "s1", pool.Config{MaxConns: 1})
	c := n.acquire(t, "a")
	if c.Waited() <= 0 {
		t.Error("opening took no time")
	}
	served := make(chan turn, 1)
	n.queueUp(t, pool.Claim{Owner: "a"}, 1, served)
	c.Release()
	c = await(t, "the waiter", served).c
	if c.Waited() <= 0 {
		t.Error("waiting took no time")
	}
	c.Release()
	if c = n.acquire(t, "a"); c.Waited() != 0 {
		t.Errorf("an idle connection took %s", c.Waited())
	}
	c.Release()
}

// Whatever is cancelled, capped and in the lane at once, all are served, no more
// than allowed, and nothing is left behind.
func TestFairnessUnderStress(t *testing.T) {
	t.Parallel()
	s := new(server)
	n := s.pool(t, "s1", pool.Config{MaxConns: 4, LaneConns: 1, MaxTenants: 5})
	var wg sync.WaitGroup
	for i := range 60 {
		claim := pool.Claim{Owner: string(rune('a' + i%12)), Conns: i % 3, Lane: i%7 == 0}
		wg.Go(func() {
			for range 100 {
				c, err := n.Acquire(t.Context(), claim)
				if err != nil {
					t.Error(err)
					return
				}
				if claim.Lane && n.Stats().Lane > 1 {
					t.Error("two in the lane")
				}
				c.Release()
			}
		})
	}
	wg.Wait()
	if s.worst.Load() > 4 {
		t.Errorf("%d connections were open", s.worst.Load())
	}
	if got := n.Stats(); got.Waiting != 0 || got.InUse() != 0 || got.Lane != 0 {
		t.Errorf("%+v", got)
	}
	n.Sweep(time.Now().Add(time.Hour))
	if s.open.Load() != 0 {
		t.Error("connections were lost")
	}
}
