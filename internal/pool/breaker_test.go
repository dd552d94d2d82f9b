package pool_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
)

var errRefused = errors.New("connection refused")

// fails has attempts to open a connection fail with err, and wants that error.
func (n *node) fails(t *testing.T, err error, attempts int) {
	t.Helper()
	for i := range attempts {
		if _, got := n.Acquire(t.Context(), pool.Claim{Owner: "a"}); got != err {
			t.Fatalf("attempt %d: %v, want %v", i, got, err)
		}
	}
}

// isDown wants a refusal without an attempt.
func (n *node) isDown(t *testing.T) *pool.DownError {
	t.Helper()
	failed := n.Stats().Failed
	_, err := n.Acquire(t.Context(), pool.Claim{Owner: "a"})
	var down *pool.DownError
	if !errors.As(err, &down) || !errors.Is(err, errRefused) || down.RetryAfter <= 0 || down.Node != "primary" {
		t.Fatalf("got %v", err)
	}
	if n.Stats().Failed != failed {
		t.Fatal("another attempt was made")
	}
	return down
}

// A node that takes no connections is given up at the third failure, probed once after
// each pause, which grows to ten seconds, and used again when a probe succeeds.
func TestANodeThatIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := new(server)
		n, other := s.pool(t, "s1", pool.Config{}), new(server).pool(t, "s2", pool.Config{})
		idle := n.acquire(t, "a")
		s.refuse.Store(&errRefused)
		n.fails(t, errRefused, 3)
		if got := n.Stats(); got.Breaker != "open" || got.Trips != 1 || got.RetryAfter > 120*time.Millisecond {
			t.Fatalf("%+v", got)
		}
		for want := 100 * time.Millisecond; want <= 10*time.Second; want *= 2 {
			down := n.isDown(t)
			if down.RetryAfter < want*8/10 || down.RetryAfter > want*12/10 {
				t.Fatalf("pauses for %s, want about %s", down.RetryAfter, want)
			}
			time.Sleep(down.RetryAfter)
			if got := n.Stats(); got.Breaker != "half-open" || got.RetryAfter != 0 {
				t.Fatalf("%+v", got)
			}
			n.fails(t, errRefused, 1)
		}
		down := n.isDown(t)
		if down.RetryAfter < 8*time.Second || down.RetryAfter > 12*time.Second {
			t.Fatalf("pauses for %s", down.RetryAfter)
		}
		idle.Release() // what is open is used all the same
		n.acquire(t, "a").Release()
		other.acquire(t, "a").Release()
		held := n.acquire(t, "a")
		s.refuse.Store(nil)
		time.Sleep(down.RetryAfter)
		n.acquire(t, "b").Release()
		held.Release()
		if got := n.Stats(); got.Breaker != "closed" || got.Trips != 1 || got.Open != 2 {
			t.Fatalf("%+v", got)
		}
	})
}

// While one probes, nobody else tries; a probe that its caller calls off lets the next
// one try.
func TestOneProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := new(server)
		g := &gate{Connector: s}
		n := &node{gate: g, Pool: pool.New(pool.Config{Shard: "s1", Node: "primary", Connector: g})}
		t.Cleanup(n.Close)
		s.refuse.Store(&errRefused)
		n.fails(t, errRefused, 3)
		s.refuse.Store(nil)
		time.Sleep(n.isDown(t).RetryAfter)
		g.before.Store(new(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
		ctx, cancel := context.WithCancel(t.Context())
		probe := make(chan error, 1)
		go func() { _, err := n.Acquire(ctx, pool.Claim{Owner: "a"}); probe <- err }()
		synctest.Wait()
		n.isDown(t)
		cancel()
		if err := <-probe; !errors.Is(err, context.Canceled) {
			t.Fatalf("the probe got %v", err)
		}
		g.before.Store(nil)
		n.acquire(t, "a").Release()
	})
}

// A deadline counts against the node if the attempt had a second at least.
func TestDeadlinesThatCount(t *testing.T) {
	t.Parallel()
	for within, counts := range map[time.Duration]bool{900 * time.Millisecond: false, time.Second: true} {
		synctest.Test(t, func(t *testing.T) {
			g := &gate{Connector: new(server)}
			n := pool.New(pool.Config{Connector: g})
			defer n.Close()
			g.before.Store(new(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
			for range 3 {
				ctx, cancel := context.WithTimeout(t.Context(), within)
				if _, err := n.Acquire(ctx, pool.Claim{Owner: "a"}); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				cancel()
			}
			if got := n.Stats().Breaker; (got == "open") != counts {
				t.Errorf("after deadlines of %s the breaker is %s", within, got)
			}
		})
	}
}

// Whoever waits is told when the node is given up.
func TestWaitersAreTold(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]*pool.Budget{"no budget": nil, "budget": pool.NewBudget(1, 0)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := new(server)
			n := s.pool(t, "s1", pool.Config{MaxConns: 1, Budget: b})
			held := n.acquire(t, "a")
			errs := make(chan error, 10)
			for range 6 {
				go func() { _, err := n.Acquire(t.Context(), pool.Claim{Owner: "a"}); errs <- err }()
			}
			eventually(t, "waiters", func() bool { return n.Stats().Waiting == 6 })
			s.refuse.Store(&errRefused)
			// The connection that they wait for breaks: one after the other opens another.
			held.Session.(*session).broken = true
			held.Release()
			refused, down := 0, 0
			for range 6 {
				var d *pool.DownError
				if err := await(t, "a waiter", errs); errors.As(err, &d) {
					down++
				} else if err == errRefused {
					refused++
				}
			}
			if refused != 3 || down != 3 || n.Stats().Waiting != 0 {
				t.Fatalf("%d tried and %d were told, want 3 each", refused, down)
			}
		})
	}
}

// state is an error with an SQLSTATE.
type state string

func (s state) Error() string    { return "SQLSTATE " + string(s) }
func (s state) SQLState() string { return string(s) }

// What a living server answers, and what the caller called off, does not count.
func TestWhatDoesNotCountAgainstTheNode(t *testing.T) {
	t.Parallel()
	for err, counts := range map[error]bool{
		state("28P01"): false, state("53300"): false, state("3D000"): false, context.Canceled: false,
		state("57P03"): true, state("08006"): true, errRefused: true,
	} {
		s := new(server)
		n := s.pool(t, "s1", pool.Config{})
		s.refuse.Store(&err)
		n.fails(t, err, 3)
		if got := n.Stats().Breaker; (got == "open") != counts {
			t.Errorf("after %v the breaker is %s", err, got)
		}
	}
}
