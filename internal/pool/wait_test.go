package pool_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
)

// Whoever waits longest is served first.
func TestFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	n := open(t, pool.Config{MaxConns: 1})
	held := n.acquire(t, "a")
	var queue []<-chan outcome
	for range 3 {
		queue = append(queue, n.acquireLater(t, t.Context()))
	}
	if s := n.Stats(); s.Waiting != 3 || s.Waits != 3 {
		t.Fatalf("%+v", s)
	}
	for i, ch := range queue {
		held.Release()
		got := await(t, "the next in the queue", ch)
		if got.err != nil {
			t.Fatal(got.err)
		}
		if w := n.Stats().Waiting; w != len(queue)-1-i {
			t.Fatalf("%d wait after number %d", w, i)
		}
		held = got.c
	}
	held.Release()
}

// A waiter that gives up leaves the queue, and says why and for what.
func TestWaitingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	n := open(t, pool.Config{MaxConns: 1})
	held := n.acquire(t, "a")
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp, stays := n.acquireLater(t, ctx), n.acquireLater(t, t.Context())
	cancel()
	got := await(t, "the waiter to give up", gaveUp)
	if !errors.Is(got.err, context.Canceled) || !strings.Contains(got.err.Error(), "s1/primary") {
		t.Fatalf("got %v", got.err)
	}
	if s := n.Stats(); s.Canceled != 1 || s.Waiting != 1 || s.WaitTime <= 0 {
		t.Fatalf("%+v", s)
	}
	held.Release()
	next := await(t, "the one behind", stays)
	if next.err != nil {
		t.Fatal(next.err)
	}
	next.c.Release()
}

// Waiters are cancelled in the moment in which they are served, with a
// connection or with the right to open one: neither may be lost.
func TestCancelLosesNeitherConnectionNorRight(t *testing.T) {
	t.Parallel()
	const most = 2
	n := open(t, pool.Config{MaxConns: most})
	for round := range 120 {
		held := []*pool.Conn{n.acquire(t, "a"), n.acquire(t, "b")}
		if round%3 == 0 {
			run(t, held[0], "set application_name = 'mine'") // passes the right on
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 2 * most {
			wg.Go(func() {
				if c, err := n.Acquire(ctx, pool.Claim{Owner: "c"}); err == nil {
					c.Release()
				} else if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
		wg.Go(cancel)
		for _, c := range held {
			wg.Go(c.Release)
		}
		wg.Wait()
		if s := n.Stats(); s.Waiting != 0 || s.Open != s.Idle || s.Open > most {
			t.Fatalf("round %d: %+v", round, s)
		}
	}
	fill(t, n, most)
}

// The right to open a connection goes to the next when opening fails.
func TestFailedConnectPassesTheRightOn(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*node, <-chan struct{}){
		"error":      failsAfter,
		"no session": makesNoSession,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := open(t, pool.Config{MaxConns: 1})
			goOn := make(chan struct{})
			spoil(n, goOn)
			first := make(chan outcome, 1)
			go func() {
				c, err := n.Acquire(t.Context(), pool.Claim{Owner: "a"})
				first <- outcome{c, err}
			}()
			eventually(t, "the attempt", func() bool { return n.Stats().Open == 1 })
			second := n.acquireLater(t, t.Context())
			close(goOn)
			if got := await(t, "the failure", first); got.err == nil {
				t.Fatal("no error")
			}
			got := await(t, "the next one's connection", second)
			if got.err != nil {
				t.Fatal(got.err)
			}
			got.c.Release()
			if s := n.Stats(); s.Open != 1 || s.Idle != 1 || s.Opened != 1 {
				t.Fatalf("%+v", s)
			}
		})
	}
}

// failsAfter makes the first attempt fail when told.
func failsAfter(n *node, goOn <-chan struct{}) {
	var once sync.Once
	n.gate.before.Store(new(func(context.Context) (err error) {
		once.Do(func() { <-goOn; err = errors.New("refused") })
		return err
	}))
}

// makesNoSession makes the first connection one that no pool can use.
func makesNoSession(n *node, goOn <-chan struct{}) {
	n.gate.Connector = &strange{Connector: n.gate.Connector, goOn: goOn}
}

// strange hides, the first time, what a connection can do.
type strange struct {
	driver.Connector
	goOn <-chan struct{}
	once sync.Once
}

func (s *strange) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := s.Connector.Connect(ctx)
	s.once.Do(func() {
		<-s.goOn
		if err == nil {
			c = struct{ driver.Conn }{c}
		}
	})
	return c, err
}

// An attempt that the caller's context ends counts as failed, and leaves room.
func TestConnectEndsWithTheContext(t *testing.T) {
	t.Parallel()
	n := open(t, pool.Config{MaxConns: 1})
	n.gate.before.Store(new(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := n.Acquire(ctx, pool.Claim{Owner: "a"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	n.gate.before.Store(nil)
	n.acquire(t, "a").Release()
}

func TestCloseWaitsForWhatIsInUse(t *testing.T) {
	t.Parallel()
	n := open(t, pool.Config{MaxConns: 2})
	held := []*pool.Conn{n.acquire(t, "a"), n.acquire(t, "b")}
	later := n.acquireLater(t, t.Context())
	closed := make(chan struct{}, 2)
	for range 2 { // the second call waits as well
		go func() { n.Close(); closed <- struct{}{} }()
	}
	if got := await(t, "the waiter's refusal", later); !errors.Is(got.err, pool.ErrClosed) {
		t.Fatalf("the waiter got %v", got.err)
	}
	for _, c := range held {
		if _, err := n.Acquire(t.Context(), pool.Claim{Owner: "c"}); !errors.Is(err, pool.ErrClosed) {
			t.Fatalf("after Close: %v", err)
		}
		stillOpen(t, closed)
		backend(t, c) // what is in use goes on
		c.Release()
	}
	await(t, "Close", closed)
	await(t, "the second Close", closed)
	if s := n.Stats(); s.Open != 0 || s.RetiredClosed != int64(len(held)) {
		t.Fatalf("%+v", s)
	}
	eventually(t, "the connections' end", func() bool { return n.backends(t) == 0 })
}

func stillOpen(t *testing.T, closed <-chan struct{}) {
	t.Helper()
	select {
	case <-closed:
		t.Fatal("Close returned while a connection was in use")
	default:
	}
}

// A connection that is being opened while the pool closes still serves its
// caller, and is waited for.
func TestCloseWaitsForWhatIsBeingOpened(t *testing.T) {
	t.Parallel()
	n := open(t, pool.Config{})
	goOn := make(chan struct{})
	n.gate.before.Store(new(func(ctx context.Context) error {
		select {
		case <-goOn:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}))
	opening := make(chan outcome, 1)
	go func() {
		c, err := n.Acquire(t.Context(), pool.Claim{Owner: "a"})
		opening <- outcome{c, err}
	}()
	eventually(t, "the attempt", func() bool { return n.Stats().Open == 1 })
	closed := make(chan struct{})
	go func() { n.Close(); close(closed) }()
	eventually(t, "Close to begin", func() bool {
		_, err := n.Acquire(canceled(t), pool.Claim{Owner: "b"})
		return errors.Is(err, pool.ErrClosed)
	})
	close(goOn)
	got := await(t, "the connection", opening)
	if got.err != nil {
		t.Fatal(got.err)
	}
	backend(t, got.c)
	stillOpen(t, closed)
	got.c.Release()
	await(t, "Close", closed)
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
