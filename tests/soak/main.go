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
	"time"

	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tests/fleetlab"
)

type config struct {
	tenants, rate, conns int
	length               time.Duration
}

// barTenant is how many bytes a tenant may take in the application's process.
const barTenant = 4096

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c config
	flag.IntVar(&c.tenants, "tenants", 10_000, "tenants, half on each shard")
	flag.IntVar(&c.rate, "rate", 200, "requests per second")
	flag.IntVar(&c.conns, "conns", 8, "connections per shard")
	flag.DurationVar(&c.length, "for", 10*time.Minute, "how long")
	flag.Parse()
	if err := run(ctx, c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, c config, out io.Writer) (err error) {
	if c.tenants < 2 || c.rate < 1 || c.conns < 1 || c.length < time.Second {
		return errors.New("want at least two tenants, one request per second, one connection and one second")
	}
	start := time.Now()
	fleet, err := fleetlab.Open(ctx, c.tenants)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fleet.Close(ctx)) }()
	fmt.Fprintf(out, "%d tenants on 2 shards, made in %s\n", c.tenants, time.Since(start).Round(time.Second))
	app, err := fleet.OpenApp(ctx, c.rate, tenantplugin.WithPoolLimits(c.conns, 0, 0))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, app.Close()) }()
	if err := perTenant(ctx, app, c, out); err != nil {
		return err
	}
	samples, err := watch(ctx, app, c, out)
	if err != nil {
		return err
	}
	if _, err := app.Report(out, "requests"); err != nil {
		return err
	}
	if n := app.Failures(out); n > 0 {
		return fmt.Errorf("%d requests failed", n)
	}
	return verdict(samples, out)
}

// few tenants warm the process up: connections, prepared statements, GORM's models.
const few = 20

// perTenant tells what the process remembers of a tenant once it has served it.
func perTenant(ctx context.Context, app *fleetlab.App, c config, out io.Writer) error {
	for range few {
		if err := app.Touch(ctx, 0, min(few, c.tenants)); err != nil {
			return err
		}
	}
	before := measure(app)
	if err := app.Touch(ctx, 0, c.tenants); err != nil {
		return err
	}
	after := measure(app)
	each := float64(after.heap-before.heap) / float64(max(1, after.entries-before.entries))
	fmt.Fprintf(out, "the process: %.1f MB of heap with %d tenants remembered, %.1f MB with %d: %.0f bytes each (bar %d)\n",
		mega(before.heap), before.entries, mega(after.heap), after.entries, each, barTenant)
	if each > barTenant {
		return errors.New("a tenant takes too much memory")
	}
	return nil
}
