package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

type config struct {
	tenants, rounds, perShard, rate int
	pace                            float64
	quiet                           time.Duration
	strict                          bool
}

// The bars.
const (
	barRate    = 0.8         // rate of the run to that of the loop by hand, at least
	barNothing = time.Second // a run with nothing to do, at most
	barP99     = 3.0         // of the p99 while the fleet migrates to that in quiet, at most
)

var errBars = errors.New("a bar was missed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c config
	flag.IntVar(&c.tenants, "tenants", 10_000, "tenants, half on each shard")
	flag.IntVar(&c.rounds, "rounds", 3, "rounds, of which the median counts")
	flag.IntVar(&c.perShard, "per-shard", 2, "connections per shard, of either way")
	flag.IntVar(&c.rate, "rate", 200, "requests per second of the load")
	flag.Float64Var(&c.pace, "pace", 100, "tenants per second and shard that are migrated under load, 0: as many as can")
	flag.DurationVar(&c.quiet, "quiet", 20*time.Second, "how long the load runs without a migration")
	flag.BoolVar(&c.strict, "strict", false, "exit with 1 if a bar is missed")
	flag.Parse()
	if err := run(ctx, c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "migratebench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, c config, out io.Writer) (err error) {
	if c.tenants < 2 || c.rounds < 1 || c.perShard < 1 || c.rate < 1 {
		return errors.New("want at least two tenants, one round, one connection and one request per second")
	}
	l := &lab{config: c}
	defer func() { err = errors.Join(err, l.close(ctx)) }()
	start := time.Now()
	if err := l.open(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d tenants on 2 shards, made in %s\n", c.tenants, time.Since(start).Round(time.Second))
	rate, bare, nothing, err := l.compare(ctx, out)
	if err != nil {
		return err
	}
	factor, failures, err := l.underLoad(ctx, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "run: %.2f of the rate by hand with a version row (bar %.1f), %.2f of that without; nothing to do: %s (bar %s); under load: %d failed statements (bar 0), p99 %.2f of quiet (bar %.0f)\n",
		rate, barRate, bare, nothing.Round(time.Millisecond), barNothing, failures, factor, barP99)
	if c.strict && (rate < barRate || nothing > barNothing || failures > 0 || factor > barP99) {
		return errBars
	}
	return nil
}

// compare runs the ways in turn, and returns medians: the rate of the run as a part
// of the loop's by hand, noted and bare, and the time of a run with nothing to do.
func (l *lab) compare(ctx context.Context, out io.Writer) (noted, bare float64, nothing time.Duration, err error) {
	ways := []func() error{
		nil, nil,
		func() error { return l.migrate(ctx, 0) },
		func() error { return l.migrateTo(ctx, l.version, 0) },
	}
	var toNoted, toBare []float64
	var idle []time.Duration
	for round := range l.rounds {
		ways[0] = func() error { return l.byHand(ctx, fmt.Sprint("bare", round), false) }
		ways[1] = func() error { return l.byHand(ctx, fmt.Sprint("noted", round), true) }
		var took [4]time.Duration
		for i, way := range ways {
			if took[i], err = timed(way); err != nil {
				return 0, 0, 0, err
			}
		}
		rate := func(i int) float64 { return float64(l.tenants) / took[i].Seconds() }
		fmt.Fprintf(out, "round %d: by hand %.0f tenants/s, with a version row %.0f; run %.0f tenants/s\n", round+1, rate(0), rate(1), rate(2))
		toBare, toNoted, idle = append(toBare, rate(2)/rate(0)), append(toNoted, rate(2)/rate(1)), append(idle, took[3])
	}
	return median(toNoted), median(toBare), median(idle), nil
}

func timed(do func() error) (time.Duration, error) {
	start := time.Now()
	err := do()
	return time.Since(start), err
}

func median[T int | float64 | time.Duration](x []T) T {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}
