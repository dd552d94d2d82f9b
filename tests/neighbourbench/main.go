// Command neighbourbench measures what a noisy tenant costs the others on its shard: the
// p99 of 200 tenants while all is quiet, while one of them runs heavy aggregates at 20
// times its share, and the same with limits.
//
//	go run ./tests/neighbourbench
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

// bar is how much worse the others' p99 may become.
const bar = 1.5

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o := options{}
	flag.IntVar(&o.tenants, "tenants", 200, "tenants of the shard")
	flag.IntVar(&o.rate, "rate", 100, "requests per second of all tenants together")
	flag.IntVar(&o.times, "times", 20, "how many times its share the noisy tenant asks for")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of quiet, noisy, and noisy with limits")
	flag.DurationVar(&o.phase, "phase", 10*time.Second, "how long each takes")
	flag.IntVar(&o.rows, "rows", 300_000, "rows that the noisy tenant aggregates")
	flag.Parse()
	if err := run(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "neighbourbench:", err)
		os.Exit(1)
	}
}

type options struct {
	tenants, rate, times, rounds, rows int
	phase                              time.Duration
}

func run(ctx context.Context, out io.Writer, o options) (err error) {
	l, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close(context.WithoutCancel(ctx))) }()
	fmt.Fprintf(out, "%d tenants on one shard, %d requests/s; one of them aggregates %d rows, %.1f times a second\n",
		o.tenants, o.rate, o.rows, l.noise())
	var without, with []float64
	for i := range o.rounds {
		quiet, err := l.phase(ctx, l.plain, false)
		if err != nil {
			return err
		}
		noisy, err := l.phase(ctx, l.plain, true)
		if err != nil {
			return err
		}
		// Its own quiet, so that nothing but the neighbour differs.
		calm, err := l.phase(ctx, l.governed, false)
		if err != nil {
			return err
		}
		limited, err := l.phase(ctx, l.governed, true)
		if err != nil {
			return err
		}
		without, with = append(without, noisy.over(quiet)), append(with, limited.over(calm))
		fmt.Fprintf(out, "round %d: p99 %s quiet, %s noisy (%.2fx); with limits %s quiet, %s noisy (%.2fx); the neighbour ran %d and %d, %d were refused\n",
			i+1, show(quiet.p99), show(noisy.p99), noisy.over(quiet), show(calm.p99), show(limited.p99), limited.over(calm),
			noisy.heavy, limited.heavy, limited.refused)
		if n := quiet.failed + noisy.failed + calm.failed + limited.failed; n > 0 {
			return fmt.Errorf("%d requests of other tenants failed: %w", n, l.failure())
		}
	}
	off, on := median(without), median(with)
	verdict := "met"
	if on > bar {
		verdict = "MISSED"
	}
	fmt.Fprintf(out, "the others' p99, medians of %d rounds: %.2fx without limits, %.2fx with (bar %.1f: %s)\n", o.rounds, off, on, bar, verdict)
	return nil
}
