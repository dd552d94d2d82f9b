package main

import (
	"context"
	"errors"
	"io"

	"github.com/gormtenancy/gormtenancy/tests/fleetlab"
)

// underLoad returns the p99 while the fleet migrates as a multiple of the quiet one,
// and how many requests failed.
func (l *lab) underLoad(ctx context.Context, out io.Writer) (factor float64, failures int, err error) {
	app, err := l.OpenApp(ctx, l.rate)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, app.Close()) }()
	if err := app.During(ctx, func() error { return fleetlab.Wait(ctx, l.quiet/4) }); err != nil {
		return 0, 0, err
	}
	if _, err := app.Report(out, "warming up"); err != nil {
		return 0, 0, err
	}
	if err := app.During(ctx, func() error { return fleetlab.Wait(ctx, l.quiet) }); err != nil {
		return 0, 0, err
	}
	quiet, err := app.Report(out, "quiet")
	if err != nil {
		return 0, 0, err
	}
	if err := app.During(ctx, func() error { return l.migrate(ctx, l.pace) }); err != nil {
		return 0, 0, err
	}
	busy, err := app.Report(out, "while the fleet migrates")
	return float64(busy) / float64(quiet), app.Failures(out), err
}
