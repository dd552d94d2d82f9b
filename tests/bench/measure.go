package main

import (
	"context"
	"fmt"
	"math/rand"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/tenant"
	"github.com/gormtenancy/gormtenancy/tests/wirecount"
)

const (
	addedLatency = time.Millisecond
	manyTenants  = 2000 // in the database, and in turn
	turnsBefore  = 15   // unmeasured
	loopTenants  = 1000
	loopWorkers  = 32
	loopConns    = 16
	zipfS        = 1.1
)

// installer puts the plugin on db, makes the tenants of specs, whose schemas
// exist, known to it, and returns what ends it.
type installer func(ctx context.Context, db *gorm.DB, specs []tenant.Spec) (func(), error)

// bench measures on one server.
type bench struct {
	server  *server
	effort  effort
	calls   int       // of a way in a round
	install installer // nil for -self
}

// compare measures each way. pick says which tenant call i of a way is for.
func (b *bench) compare(ctx context.Context, l *lab, rounds int, pick func(i int) int, do func(*gorm.DB) error) (medians, error) {
	var run [ways]func() (float64, error)
	for w := range ways {
		next := 0
		run[w] = func() (float64, error) {
			return timed(b.calls, func(int) error {
				next++
				return l.call(w, pick(next), do)
			})
		}
	}
	return alternate(ctx, rounds, run)
}

func always(int) int { return 0 }

// latency measures through a proxy that makes every round trip 1 ms longer.
func (b *bench) latency(ctx context.Context) ([]result, error) {
	dsn, err := b.server.database(ctx, "latency")
	if err != nil {
		return nil, err
	}
	specs, err := makeTables(ctx, dsn, 1)
	if err != nil {
		return nil, err
	}
	proxy, dsn, err := wirecount.Through(ctx, dsn, wirecount.Options{Latency: addedLatency, LogLimit: -1})
	if err != nil {
		return nil, err
	}
	defer proxy.Close()
	l, err := newLab(ctx, dsn, 2, specs, b.install)
	if err != nil {
		return nil, err
	}
	defer l.stop()
	read, err := b.compare(ctx, l, b.effort.slowRounds, always, first(7))
	if err != nil {
		return nil, err
	}
	write, err := b.compare(ctx, l, b.effort.slowRounds, always, create)
	return []result{
		ratioResult("1 ms away: read", "us per call", barLatencyRead, read),
		ratioResult("1 ms away: create", "us per call", barLatencyWrite, write),
	}, err
}

// loopback measures without added latency.
func (b *bench) loopback(ctx context.Context) ([]result, error) {
	dsn, err := b.server.database(ctx, "loopback")
	if err != nil {
		return nil, err
	}
	specs, err := makeTables(ctx, dsn, manyTenants)
	if err != nil {
		return nil, err
	}
	l, err := newLab(ctx, dsn, loopConns, specs, b.install)
	if err != nil {
		return nil, err
	}
	defer l.stop()
	one, err := b.compare(ctx, l, b.effort.fastRounds, always, first(7))
	if err != nil {
		return nil, err
	}
	many, err := b.inTurn(ctx, l)
	if err != nil {
		return nil, err
	}
	loop, err := b.closedLoop(ctx, l)
	return []result{
		ratioResult("one tenant: read", "us per call", barOneTenant, one),
		ratioResult(fmt.Sprintf("%d tenants in turn: read", len(l.ctx)), "us per call", barManyTenants, many),
		ratioResult("closed loop: throughput", "calls/s", barThroughput, loop),
	}, err
}

// inTurn goes round all tenants, in the steady state: PostgreSQL settles on a
// plan after five executions, ours gives a tenant its own statement after eight.
func (b *bench) inTurn(ctx context.Context, l *lab) (medians, error) {
	for w := range ways {
		if _, err := timed(turnsBefore*len(l.ctx), func(i int) error { return l.call(w, i%len(l.ctx), first(7)) }); err != nil {
			return medians{}, err
		}
	}
	return b.compare(ctx, l, b.effort.fastRounds, func(i int) int { return i % len(l.ctx) }, first(7))
}

// closedLoop returns calls per second of workers that wait for each answer, in
// the steady state: a connection's first visit to a tenant is dear in any way
// but plain, and a service makes it once.
func (b *bench) closedLoop(ctx context.Context, l *lab) (medians, error) {
	var run [ways]func() (float64, error)
	for w := range ways {
		if _, err := loop(l.way(w), b.effort.loopWarm); err != nil {
			return medians{}, err
		}
		run[w] = func() (float64, error) { return loop(l.way(w), b.effort.loop) }
	}
	return alternate(ctx, b.effort.loopRounds, run)
}

func loop(call way, d time.Duration) (float64, error) {
	var (
		wg    sync.WaitGroup
		calls atomic.Int64
		fault atomic.Pointer[error]
	)
	begin := time.Now()
	deadline := begin.Add(d)
	for worker := range loopWorkers {
		wg.Go(func() {
			zipf := rand.NewZipf(rand.New(rand.NewSource(int64(worker))), zipfS, 1, uint64(loopTenants-1))
			for i := 0; time.Now().Before(deadline) && fault.Load() == nil; i++ {
				err := call(int(zipf.Uint64()), first(int64(1+i%rowsPerTable)))
				if err != nil {
					fault.Store(&err)
				}
				calls.Add(1)
			}
		})
	}
	wg.Wait()
	if e := fault.Load(); e != nil {
		return 0, *e
	}
	return float64(calls.Load()) / time.Since(begin).Seconds(), nil
}
