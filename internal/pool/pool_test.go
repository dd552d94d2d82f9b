package pool_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
)

func TestOpensWhenAsked(t *testing.T) {
	t.Parallel()
	n := open(t, pool.Config{})
	if got := n.backends(t); got != 0 || n.Stats().Open != 0 {
		t.Fatalf("a new pool has %d connections, counts %d", got, n.Stats().Open)
	}
	a := n.acquire(t, "a")
	if got := n.backends(t); got != 1 || n.Stats().Open != 1 {
		t.Fatalf("after one Acquire: %d connections, counts %d", got, n.Stats().Open)
	}
	first := backend(t, a)
	a.Release()
	b := n.acquire(t, "b")
	defer b.Release()
	if got := backend(t, b); got != first {
		t.Fatal("opened another connection while one was idle")
	}
	if n.Shard() != "s1" || n.Node() != "primary" || b.Pool() != n.Pool {
		t.Fatalf("the pool is called %s/%s", n.Shard(), n.Node())
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	if got := pool.New(pool.Config{}).Stats().MaxConns; got != pool.DefaultMaxConns {
		t.Fatalf("MaxConns is %d", got)
	}
}

// A hundred callers share four connections: never more are open, on the
// server neither, and everybody gets one.
func TestNeverMoreThanMaxConns(t *testing.T) {
	t.Parallel()
	const most, callers, rounds = 4, 100, 10
	n := open(t, pool.Config{MaxConns: most})
	var inUse, worst atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range rounds {
				c, err := n.Acquire(t.Context(), pool.Claim{Owner: string(rune('a' + i%26))})
				if err != nil {
					t.Error(err)
					return
				}
				now := inUse.Add(1)
				for w := worst.Load(); now > w && !worst.CompareAndSwap(w, now); w = worst.Load() {
				}
				if _, err := pid(t.Context(), c); err != nil {
					t.Error(err)
				}
				if s := n.Stats(); s.Open > most {
					t.Errorf("%d connections open", s.Open)
				}
				inUse.Add(-1)
				c.Release()
			}
		})
	}
	for range 20 {
		if got := n.backends(t); got > most {
			t.Errorf("the server has %d connections", got)
		}
	}
	wg.Wait()
	s := n.Stats()
	if worst.Load() > most || s.Open != most || s.Idle != most || s.Opened != most {
		t.Fatalf("%d in use at once, %+v", worst.Load(), s)
	}
	if s.Waits == 0 || s.WaitTime <= 0 || s.Waiting != 0 {
		t.Fatalf("a hundred callers did not wait for four connections: %+v", s)
	}
}

// The connection that served the tenant last comes first, then one that knows
// the tenant, then the one that was used last.
func TestPrefersTheConnectionThatKnowsTheTenant(t *testing.T) {
	t.Parallel()
	n := open(t, pool.Config{})
	one, two, three := n.acquire(t, "a"), n.acquire(t, "b"), n.acquire(t, "c")
	one.Touch("b") // knows a and b, served b last
	two.Release()
	one.Release()
	three.Release() // used last

	for _, want := range []struct {
		owner, why string
		c          *pool.Conn
	}{
		{"a", "knows the tenant", one},
		{"c", "served the tenant last", three},
		{"new", "was used last", three},
	} {
		got := n.acquire(t, want.owner)
		if got != want.c {
			t.Errorf("for %s: not the connection that %s", want.owner, want.why)
		}
		got.Release()
	}
	// one served a last again and still knows b; two served nobody but b.
	if got := n.acquire(t, "b"); got != two {
		t.Error("for b: not the connection that served b last")
	} else {
		got.Release()
	}
}

func TestRetiresByAge(t *testing.T) {
	t.Parallel()
	n := open(t, pool.Config{MaxAge: time.Nanosecond})
	a := n.acquire(t, "a")
	first := backend(t, a)
	a.Release()
	b := n.acquire(t, "a")
	if backend(t, b) == first {
		t.Error("a connection beyond its age was used again")
	}
	b.Release()
	if s := n.Stats(); s.RetiredAge != 2 || s.Open != 0 || s.Opened != 2 {
		t.Errorf("%+v", s)
	}
	eventually(t, "the old connections' end", func() bool { return n.backends(t) == 0 })
}

func TestRetiresByTenants(t *testing.T) {
	t.Parallel()
	n := open(t, pool.Config{MaxTenants: 3})
	var first int64
	for i, owner := range []string{"a", "b", "a", "c", "b", "d", "d"} {
		c := n.acquire(t, owner)
		got := backend(t, c)
		c.Release()
		switch {
		case i == 0:
			first = got
		case i < 6 && got != first:
			t.Fatalf("use %d: replaced before it had served four tenants", i)
		case i == 6 && got == first:
			t.Fatal("used again after four tenants")
		}
	}
	if s := n.Stats(); s.RetiredTenants != 1 || s.Open != 1 || s.Opened != 2 {
		t.Fatalf("%+v", s)
	}
}

// A connection whose session was changed, or that holds a transaction, serves
// nobody else; whoever waits gets the right to open another.
func TestReplacesWhatIsNotReusable(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"session": "set application_name = 'mine'", "transaction": "begin",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := open(t, pool.Config{MaxConns: 1})
			c := n.acquire(t, "a")
			first := backend(t, c)
			run(t, c, text)
			later := n.acquireLater(t, t.Context())
			c.Release()
			got := await(t, "the waiter's connection", later)
			if got.err != nil {
				t.Fatal(got.err)
			}
			defer got.c.Release()
			if backend(t, got.c) == first {
				t.Error("the changed connection was handed on")
			}
			if s := n.Stats(); s.RetiredBroken != 1 || s.Opened != 2 || s.Open != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// Connections that the server closed are replaced as they are met: each costs
// one failure at most, and the pool's count stays right.
func TestReplacesTerminatedConnections(t *testing.T) {
	t.Parallel()
	const most = 5
	n := open(t, pool.Config{MaxConns: most})
	fill(t, n, most)
	n.kill(t)
	failures := 0
	for range 2 * most {
		c := n.acquire(t, "a")
		if _, err := pid(t.Context(), c); err != nil {
			failures++
		}
		c.Release()
	}
	s := n.Stats()
	if failures > most || s.RetiredBroken == 0 || s.Open != int(s.Opened-s.RetiredBroken) {
		t.Fatalf("%d failures, %+v", failures, s)
	}
	fill(t, n, most)
	if got := n.backends(t); got != most {
		t.Fatalf("%d connections on the server, want %d", got, most)
	}
}

// After a second at rest a connection is tried before it is handed out, so
// that a server's restart costs no failure at all.
func TestTriesConnectionsThatRested(t *testing.T) {
	t.Parallel()
	const most = 3
	n := open(t, pool.Config{MaxConns: most})
	fill(t, n, most)
	n.kill(t)
	rested := time.Now().Add(1100 * time.Millisecond)
	eventually(t, "a second's rest", func() bool { return time.Now().After(rested) })
	c := n.acquire(t, "a")
	defer c.Release()
	if _, err := pid(t.Context(), c); err != nil {
		t.Fatalf("got a dead connection: %v", err)
	}
	if s := n.Stats(); s.RetiredBroken != most || s.Open != 1 {
		t.Fatalf("%+v", s)
	}
}

// fill opens all of the pool's connections and leaves them idle.
func fill(t *testing.T, n *node, count int) {
	t.Helper()
	var all []*pool.Conn
	for range count {
		c := n.acquire(t, "fill")
		all = append(all, c)
		for _, err := pid(t.Context(), c); err != nil; _, err = pid(t.Context(), c) {
			// One that the server has closed: the pool does not know yet.
			c.Release()
			c = n.acquire(t, "fill")
			all[len(all)-1] = c
		}
	}
	for _, c := range all {
		c.Release()
	}
	if s := n.Stats(); s.Idle != count || s.Open != count {
		t.Fatalf("the pool was not filled: %+v", s)
	}
}

func TestTrim(t *testing.T) {
	t.Parallel()
	n := open(t, pool.Config{})
	fill(t, n, 4)
	held := n.acquire(t, "held")
	before := time.Now()

	n.Trim(10, time.Time{})
	if s := n.Stats(); s.Open != 4 || s.RetiredTrimmed != 0 {
		t.Fatalf("closed something without a reason: %+v", s)
	}
	n.Trim(10, before) // all are older than that: one at a time
	if s := n.Stats(); s.Open != 3 || s.Idle != 2 || s.RetiredTrimmed != 1 {
		t.Fatalf("did not close exactly one old connection: %+v", s)
	}
	n.Trim(2, time.Time{})
	if s := n.Stats(); s.Open != 2 || s.Idle != 1 {
		t.Fatalf("kept more than two: %+v", s)
	}
	n.Trim(0, time.Time{})
	if s := n.Stats(); s.Open != 1 || s.InUse() != 1 || s.RetiredTrimmed != 3 {
		t.Fatalf("took a connection in use: %+v", s)
	}
	backend(t, held)
	held.Release()
	eventually(t, "the trimmed connections' end", func() bool { return n.backends(t) == 1 })
}

// Trim lets go of the oldest.
func TestTrimTakesTheOldest(t *testing.T) {
	t.Parallel()
	n := open(t, pool.Config{})
	old, young := n.acquire(t, "a"), n.acquire(t, "b")
	keep := backend(t, young)
	young.Release()
	old.Release()
	n.Trim(1, time.Time{})
	c := n.acquire(t, "c")
	defer c.Release()
	if backend(t, c) != keep {
		t.Fatal("the young connection was closed, the old one kept")
	}
}

func TestConnectorsErrorIsTheCallers(t *testing.T) {
	t.Parallel()
	n := open(t, pool.Config{})
	refused := errors.New("refused")
	n.gate.before.Store(new(func(context.Context) error { return refused }))
	if _, err := n.Acquire(t.Context(), pool.Claim{Owner: "a"}); !errors.Is(err, refused) {
		t.Fatalf("got %v", err)
	}
	if s := n.Stats(); s.Failed != 1 || s.Open != 0 || s.Opened != 0 {
		t.Fatalf("%+v", s)
	}
}
