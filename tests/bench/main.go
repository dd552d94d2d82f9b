package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

var errBars = errors.New("a bar was missed")

type config struct {
	short, strict, self, parts, metrics bool
	calls                               int
	svg, json, dsn                      string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg, err := parseFlags(os.Args[1:], os.Stderr)
	if err == nil {
		err = run(ctx, cfg, os.Stdout)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func parseFlags(args []string, errs io.Writer) (c config, err error) {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.BoolVar(&c.short, "short", false, "fewer rounds: under a minute, for CI")
	fs.BoolVar(&c.strict, "strict", false, "exit with 1 if a bar is missed")
	fs.BoolVar(&c.self, "self", false, "measure plain GORM against itself: the noise of the machine")
	fs.BoolVar(&c.parts, "parts", false, "instead: what the scope takes of the server, and the processor time of a call")
	fs.BoolVar(&c.metrics, "metrics", false, "instead: what WithMetrics adds to a read, in the process and on a server")
	fs.IntVar(&c.calls, "calls", 5, "calls that a way makes in a row before it is the next way's turn")
	fs.StringVar(&c.svg, "svg", "", "write the chart to this file")
	fs.StringVar(&c.json, "json", "", "write the figures to this file")
	fs.StringVar(&c.dsn, "dsn", "", "server to measure on, with the right to create databases (default: an embedded one)")
	if err := fs.Parse(args); err != nil {
		return c, err
	}
	if c.calls < 1 {
		return c, fmt.Errorf("-calls %d: a round needs a call", c.calls)
	}
	return c, nil
}

// run measures and writes the report.
func run(ctx context.Context, c config, out io.Writer) error {
	srv, err := openServer(ctx, c.dsn)
	if err != nil {
		return err
	}
	defer srv.close()
	b := &bench{server: srv, effort: fullEffort, calls: c.calls, install: installPlugin}
	if c.short {
		b.effort = shortEffort
	}
	if c.self {
		b.install = nil
	}
	if c.metrics {
		return b.printMetering(ctx, out)
	}
	if c.parts {
		return errors.Join(b.printParts(ctx, out), b.printProcessor(ctx, out))
	}
	var results []result
	for _, measure := range []func(context.Context) ([]result, error){b.latency, b.loopback, b.process} {
		r, err := measure(ctx)
		if err != nil {
			return err
		}
		results = append(results, r...)
	}
	printTable(out, results)
	if err := writeFiles(c, results); err != nil {
		return err
	}
	if c.strict && !allPass(results) {
		return errBars
	}
	return nil
}

func writeFiles(c config, results []result) error {
	text, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	for name, content := range map[string][]byte{c.json: append(text, '\n'), c.svg: chart(results)} {
		if name == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	return nil
}
