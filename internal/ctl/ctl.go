package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
)

// Env is what a command finds around it.
type Env struct {
	// Stdin answers questions, if it is a terminal.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Getenv reads the environment.
	Getenv func(string) string
}

// app is one command line under way.
type app struct {
	env Env
	// The flags that every command has.
	dsn, schema, output, actor string
	quiet, debug               bool
	timeout                    time.Duration
	// Those that several have.
	dryRun, yes bool
	programs    string // folder of pg_dump

	// ran is whether the command itself was begun: what failed before is usage.
	ran bool
}

// Run executes a command line, without the program's name, and returns the exit
// code. When ctx ends, what is under way ends in order.
func Run(ctx context.Context, env Env, args []string) int {
	a := &app{env: env}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return codeDone
	}
	if !a.ran {
		err = usage(err)
	}
	code := exitCode(err)
	if ctx.Err() != nil {
		code = Interrupted
	}
	a.complain(cmd, args, err, code)
	return code
}

// action is what a command does.
type action func(ctx context.Context, args []string) error

// run makes an action cobra's.
func (a *app) run(do action) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.ran = true
		if a.output != formatTable && a.output != formatJSON {
			return usagef("--output %.32q: want table or json", a.output)
		}
		ctx := cmd.Context()
		if a.timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, a.timeout, fmt.Errorf("it took longer than --timeout %s: %w", a.timeout, context.DeadlineExceeded))
			defer cancel()
		}
		err := do(registry.WithActor(ctx, a.actorName()), args)
		if err != nil && cmd.Context().Err() == nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return err
	}
}

// on makes an action that needs the registry cobra's.
func (a *app) on(do func(ctx context.Context, r *registry.Registry, args []string) error) func(*cobra.Command, []string) error {
	return a.run(func(ctx context.Context, args []string) error {
		r, err := a.open(ctx)
		if err != nil {
			return err
		}
		defer r.Close()
		return do(ctx, r, args)
	})
}

// logger returns where the registry's own news go. They are no result, and most of
// them no error of the command.
func (a *app) logger() *slog.Logger {
	if !a.debug {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(a.env.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
