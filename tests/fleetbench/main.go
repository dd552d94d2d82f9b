package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

type config struct {
	tenants, rounds, batch int
	strict                 bool
}

// The bars, as ratios.
const (
	barRate   = 0.8 // rate of Create to that of the DDL by hand, at least
	barGrowth = 1.3 // time of Create among all tenants to that among the first, at most
	firstFill = 1000
)

var errBars = errors.New("a bar was missed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c config
	flag.IntVar(&c.tenants, "tenants", 10_000, "tenants at the end; it is measured among 1,000 of them (if more than that) and among all")
	flag.IntVar(&c.rounds, "rounds", 15, "rounds, of which the median counts")
	flag.IntVar(&c.batch, "batch", 8, "tenants that each way makes in a round")
	flag.BoolVar(&c.strict, "strict", false, "exit with 1 if a bar is missed")
	flag.Parse()
	if err := run(ctx, c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fleetbench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, c config, out io.Writer) (err error) {
	if c.rounds < 1 || c.batch < 1 || c.tenants < 0 {
		return errors.New("want at least one round of one tenant")
	}
	l, err := openLab(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close(ctx)) }()
	fmt.Fprintf(out, "%d tables, %d statements per tenant\n", len(models), l.statements)
	first := firstFill
	if c.tenants <= first {
		first = c.tenants
	}
	early, err := l.measureAt(ctx, first, c, out)
	if err != nil {
		return err
	}
	late := early
	if c.tenants > first {
		if late, err = l.measureAt(ctx, c.tenants, c, out); err != nil {
			return err
		}
	}
	growth := late.ours / early.ours
	fmt.Fprintf(out, "Create: %.2f of the rate by hand (bar %.1f); %.2f of the time among %d tenants (bar %.1f)\n",
		late.hand/late.ours, barRate, growth, first, barGrowth)
	if c.strict && (late.hand/late.ours < barRate || growth > barGrowth) {
		return errBars
	}
	return nil
}
