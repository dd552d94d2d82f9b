package main

import (
	"context"
	"fmt"
	"runtime"
)

const (
	replayCalls = 20 // per round
	allocRounds = 21
	minReplayed = 0.99
	warmCalls   = 50 // before the answers are taken from the record
)

// process measures what the plugin does in the process, against recorded
// answers. What the record takes to find them stands for the database, and is
// taken off.
func (b *bench) process(ctx context.Context) ([]result, error) {
	dsn, err := b.server.database(ctx, "process")
	if err != nil {
		return nil, err
	}
	specs, err := makeTables(ctx, dsn, 1)
	if err != nil {
		return nil, err
	}
	tape, dsn, err := startReplay(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer tape.close()
	l, err := newLab(ctx, dsn, 1, specs, b.install)
	if err != nil {
		return nil, err
	}
	defer l.stop()
	return b.againstTape(ctx, l, tape)
}

func (b *bench) againstTape(ctx context.Context, l *lab, tape *replay) ([]result, error) {
	var run [ways]func() (float64, error)
	for _, w := range []int{plainWay, oursWay} {
		run[w] = func() (float64, error) {
			before := tape.busy.Load()
			us, err := timed(replayCalls, func(int) error { return l.call(w, 0, first(7)) })
			return us - float64(tape.busy.Load()-before)/1e3/replayCalls, err
		}
		if _, err := timed(warmCalls, func(int) error { return l.call(w, 0, first(7)) }); err != nil {
			return nil, err
		}
	}
	// On one thread: waking others is the kernel's work, and takes as long as
	// what is measured.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	tape.play()
	times, err := alternate(ctx, b.effort.replayRounds, run)
	if err != nil {
		return nil, err
	}
	if share := tape.share(); share < minReplayed {
		return nil, fmt.Errorf("measure the process: only %.1f %% of the requests were on record, the others went to the server", share*100)
	}
	var count [ways]func() (float64, error)
	for _, w := range []int{plainWay, oursWay} {
		count[w] = func() (float64, error) { return allocations(run[w]) }
	}
	allocs, err := alternate(ctx, allocRounds, count)
	if err != nil {
		return nil, err
	}
	return []result{
		differenceResult("in the process: time", "us per call", barMicroseconds, times),
		differenceResult("in the process: allocations", "per call", barAllocations, allocs),
	}, nil
}

// allocations returns those of one call, counted over a round. The recorded
// answers come without any.
func allocations(round func() (float64, error)) (float64, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := round(); err != nil {
		return 0, err
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / replayCalls, nil
}
