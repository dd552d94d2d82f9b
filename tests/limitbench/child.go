package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/quota/redislimit"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// count is what a process saw since it was asked last.
type count struct {
	Accepted []int64 // of each tenant
	Calls    int64
	Failed   int64 // neither accepted nor over a limit
	Quiet    int64 // refused, although far below the limit
	Local    uint64
	Up       bool
	Longest  time.Duration // of a call
	Stall    time.Duration // that somebody woke up late who waits for no Redis
}

// child is a process under load.
type child struct {
	fleet  *fleet
	shared *quota.Governor
	redis  *redislimit.Limiter
	sums   []float64 // of the loads up to each tenant

	accepted             []atomic.Int64
	calls, failed, quiet atomic.Int64
	longest, stall       atomic.Int64
	local                uint64 // at the last answer
}

// workers send a process's load.
const workers = 64

// serve sends load until in ends, and answers each line of it with a count.
func serve(ctx context.Context, c config, in io.Reader, out io.Writer) error {
	ch, err := newChild(ctx, c)
	if err != nil {
		return err
	}
	defer ch.shared.Stop()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { ch.sleep(ctx) })
	for range workers {
		running.Go(func() { ch.send(ctx) })
	}
	answers := json.NewEncoder(out)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if err := answers.Encode(ch.take()); err != nil {
			return err
		}
	}
	return nil
}

func newChild(ctx context.Context, c config) (*child, error) {
	ch := &child{fleet: newFleet(c.tenants), accepted: make([]atomic.Int64, c.tenants)}
	quietly := slog.New(slog.DiscardHandler)
	ch.redis = redislimit.New(c.url, redislimit.Logger(quietly))
	sum := 0.0
	for i := range ch.fleet.tenants {
		sum += ch.fleet.load(i, c.child, c.processes, c.load)
		ch.sums = append(ch.sums, sum)
	}
	var err error
	ch.shared, err = quota.New(quota.Config{Source: ch.fleet, Shared: ch.redis, Processes: c.processes, Logger: quietly})
	if err != nil {
		return nil, err
	}
	return ch, ch.shared.Start(ctx)
}

// send sends its part of the load, at random moments.
func (ch *child) send(ctx context.Context) {
	all := ch.sums[len(ch.sums)-1]
	timer := time.NewTimer(0)
	defer timer.Stop()
	for next := time.Now(); ; {
		next = next.Add(time.Duration(rand.ExpFloat64() * workers / all * 1e9))
		timer.Reset(time.Until(next))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		ch.call(ctx, sort.SearchFloat64s(ch.sums, rand.Float64()*all))
	}
}

// sleep measures how late the machine wakes somebody up, who waits like those
// that wait for Redis.
func (ch *child) sleep(ctx context.Context) {
	const nap = time.Millisecond
	timer := time.NewTimer(nap)
	defer timer.Stop()
	for {
		begin := time.Now()
		timer.Reset(nap)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			raise(&ch.stall, time.Since(begin)-nap)
		}
	}
}

func (ch *child) call(ctx context.Context, i int) {
	begin := time.Now()
	err := ch.shared.Statement(ctx, ch.fleet.tenants[i])
	raise(&ch.longest, time.Since(begin))
	ch.calls.Add(1)
	switch {
	case err == nil:
		ch.accepted[i].Add(1)
	case !errors.Is(err, tenant.ErrLimited):
		ch.failed.Add(1)
	case quiet(i):
		ch.quiet.Add(1)
	}
}

func raise(most *atomic.Int64, d time.Duration) {
	for old := most.Load(); int64(d) > old && !most.CompareAndSwap(old, int64(d)); {
		old = most.Load()
	}
}

// take returns what was counted, and begins anew.
func (ch *child) take() count {
	st := ch.shared.Stats()
	c := count{
		Calls: ch.calls.Swap(0), Failed: ch.failed.Swap(0), Quiet: ch.quiet.Swap(0),
		Longest: time.Duration(ch.longest.Swap(0)), Stall: time.Duration(ch.stall.Swap(0)),
		Local: st.Fallbacks - ch.local, Up: ch.redis.Stats().Up,
	}
	ch.local = st.Fallbacks
	for i := range ch.accepted {
		c.Accepted = append(c.Accepted, ch.accepted[i].Swap(0))
	}
	return c
}

// add sums up what processes saw.
func (c *count) add(o count) {
	if c.Accepted == nil {
		*c = o
		return
	}
	for i, n := range o.Accepted {
		c.Accepted[i] += n
	}
	c.Calls, c.Failed, c.Quiet, c.Local = c.Calls+o.Calls, c.Failed+o.Failed, c.Quiet+o.Quiet, c.Local+o.Local
	c.Up = c.Up && o.Up
	if o.Longest-o.Stall > c.Longest-c.Stall {
		c.Longest, c.Stall = o.Longest, o.Stall
	}
}

// String describes the calls.
func (c *count) String() string {
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	return fmt.Sprintf("%d calls, %d failed, %d of quiet tenants refused, %.1f%% decided alone, longest call %s (the machine stood still for %s)",
		c.Calls, c.Failed, c.Quiet, 100*float64(c.Local)/float64(max(1, c.Calls)), round(c.Longest), round(c.Stall))
}
