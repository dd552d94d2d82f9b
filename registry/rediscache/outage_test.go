package rediscache

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	loopers   = 200
	pace      = 10 * time.Millisecond // of each
	shortTTL  = 100 * time.Millisecond
	phaseTime = time.Second
	// tolerated is how much longer a lookup may take because of Redis.
	tolerated = 50 * time.Millisecond
)

// load looks tenants up, and remembers the longest wait.
type load struct {
	longest, lookups, failures atomic.Int64
}

func (l *load) run(ctx context.Context, n *node, ids []tenant.ID) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		begin := time.Now()
		_, err := n.Lookup(context.WithoutCancel(ctx), ids[rand.IntN(len(ids))])
		took := int64(time.Since(begin))
		l.lookups.Add(1)
		if err != nil {
			l.failures.Add(1)
		}
		for old := l.longest.Load(); took > old && !l.longest.CompareAndSwap(old, took); {
			old = l.longest.Load()
		}
	}
}

// TestOutages: whatever happens to Redis, lookups go on, and none takes longer
// than those of a registry without Redis at the same time. It is about time, so
// that it runs alone: make chaos.
func TestOutages(t *testing.T) {
	if os.Getenv("GORMTENANCY_CHAOS") == "" {
		t.Skip("it measures waits, and wants the machine for itself: make chaos")
	}
	s := realServer(t)
	dsn := pgtest.Any(t).Database(t)
	plain := openNode(t, dsn, nil, shortTTL)
	shared := []*node{openNode(t, dsn, New(s.url()), shortTTL), openNode(t, dsn, New(s.url()), shortTTL)}
	ids := createTenants(t, plain.Registry, 50)
	for _, n := range shared {
		n.settled(t)
	}
	for _, phase := range []struct {
		name string
		do   func()
	}{
		{"healthy", func() {}},
		{"FLUSHALL", func() {
			for range 20 {
				s.flushAll(t)
			}
		}},
		{"SIGSTOP", func() { s.stop(t) }},
		{"SIGCONT", func() { s.cont(t) }},
		{"killed", func() { s.kill(t) }},
		{"started again", func() { s.start(t) }},
	} {
		with, without := &load{}, &load{}
		ctx, cancel := context.WithTimeout(t.Context(), phaseTime)
		var running sync.WaitGroup
		for i := range loopers {
			running.Go(func() { with.run(ctx, shared[i%len(shared)], ids) })
			running.Go(func() { without.run(ctx, plain, ids) })
		}
		phase.do()
		running.Wait()
		cancel()
		longest, reference := time.Duration(with.longest.Load()), time.Duration(without.longest.Load())
		t.Logf("%-13s %d lookups, longest %s; without Redis %s; %+v", phase.name, with.lookups.Load(),
			longest, reference, shared[0].CacheStats().Shared)
		if n := with.failures.Load(); n > 0 {
			t.Errorf("%s: %d lookups failed", phase.name, n)
		}
		if longest > reference+tolerated {
			t.Errorf("%s: a lookup took %s, without Redis the longest took %s", phase.name, longest, reference)
		}
	}
	for _, n := range shared {
		n.settled(t)
		if st := n.CacheStats().Shared; st.Hits == 0 || st.Skips == 0 || st.Opened < 2 {
			t.Errorf("the test proves nothing: %+v", st)
		}
	}
}

// TestNoStaleAfterOutage: a change that happens while Redis is in trouble is
// seen by everybody, and, once the trouble is over, by a process that knows
// nothing but what Redis tells it.
func TestNoStaleAfterOutage(t *testing.T) {
	t.Parallel()
	s := realServer(t)
	dsn := pgtest.Any(t).Database(t)
	open := func() *node { return openNode(t, dsn, New(s.url(), Cooldown(20*time.Millisecond)), time.Hour) }
	nodes := []*node{open(), open()}
	id := createTenants(t, nodes[0].Registry, 1)[0]
	healthy := func() {}
	troubles := map[string]struct{ begin, end func() }{
		"none":     {healthy, healthy},
		"FLUSHALL": {func() { s.flushAll(t) }, healthy},
		"paused":   {func() { s.stop(t) }, func() { s.cont(t) }},
		"killed":   {func() { s.kill(t) }, func() { s.start(t) }},
		// It comes back with what it held before the change.
		"restored": {func() { s.save(t); s.kill(t) }, func() { s.start(t) }},
	}
	hits := uint64(0)
	want := tenant.StateActive
	for range 3 {
		for name, trouble := range troubles {
			for _, n := range nodes {
				n.settled(t)
				eventually(t, "state at a node", func() bool { return n.state(t, id) == want })
			}
			trouble.begin()
			if want == tenant.StateActive {
				want = tenant.StateSuspended
				if err := nodes[0].Suspend(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			} else {
				want = tenant.StateActive
				if err := nodes[1].Resume(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			for _, n := range nodes {
				eventually(t, name+": change at a node", func() bool { return n.state(t, id) == want })
			}
			trouble.end()
			for _, n := range nodes {
				n.settled(t)
			}
			for range 2 { // the second one may find the first one's answer
				fresh := open()
				fresh.settled(t)
				if got := fresh.state(t, id); got != want {
					t.Errorf("%s: a new process sees %s, want %s", name, got, want)
				}
				eventually(t, "answer in Redis", func() bool { return s.holds(fresh.cache, id) })
				hits += fresh.CacheStats().Shared.Hits
				fresh.Close()
			}
		}
	}
	if hits == 0 {
		t.Error("no new process found anything in Redis: the test proves nothing")
	}
	t.Logf("%d answers from Redis", hits)
}

// holds reports whether Redis holds a value for the tenant.
func (s *redisServer) holds(c *Cache, id tenant.ID) bool {
	v, err := s.admin.Get(background(), c.keys.entries+"t:"+string(id)).Result()
	return err == nil && len(v) > 26 && v[26] == 'v'
}
