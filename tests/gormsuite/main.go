package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

// errDifferent says that the report, printed before, names a difference.
var errDifferent = errors.New("the plugin changes what GORM's tests see")

type config struct {
	src     string // checkout of GORM
	dsn     string // a server with the right to create databases, empty for one of our own
	module  string // this module's folder
	pattern *regexp.Regexp
	plain   bool // only without the plugin
	race    bool
	verbose bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg, err := parseFlags(os.Args[1:], os.Stderr)
	if err == nil {
		err = run(ctx, cfg, os.Stdout)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "gormsuite:", err)
		stop()
		os.Exit(1)
	}
}

func parseFlags(args []string, errors io.Writer) (config, error) {
	var c config
	var pattern string
	fs := flag.NewFlagSet("gormsuite", flag.ContinueOnError)
	fs.SetOutput(errors)
	fs.StringVar(&c.src, "src", os.Getenv("GORM_SRC"), "checkout of GORM at the required version (default $GORM_SRC)")
	fs.StringVar(&c.dsn, "dsn", "", "server to run on, with the right to create databases (default: an embedded one)")
	fs.StringVar(&c.module, "module", ".", "folder of the module under test")
	fs.StringVar(&pattern, "run", "", "only the tests whose names match")
	fs.BoolVar(&c.plain, "plain", false, "only without the plugin")
	fs.BoolVar(&c.race, "race", false, "build the tests with the race detector")
	fs.BoolVar(&c.verbose, "v", false, "print the tests' output")
	if err := fs.Parse(args); err != nil {
		return c, err
	}
	if c.src == "" {
		return c, fmt.Errorf("no GORM to test: name a checkout with -src or GORM_SRC")
	}
	var err error
	if c.pattern, err = regexp.Compile(pattern); err != nil {
		return c, fmt.Errorf("read -run: %w", err)
	}
	return c, nil
}

// run builds the suite, runs it both ways and reports to out.
func run(ctx context.Context, c config, out io.Writer) error {
	known, err := parseExplained(explainedText)
	if err != nil {
		return err
	}
	s, err := prepare(ctx, c)
	if err != nil {
		return err
	}
	defer s.remove()
	srv, err := openServer(ctx, c.dsn)
	if err != nil {
		return err
	}
	defer srv.close()
	s.server, s.out = srv, out
	names, err := s.tests(ctx)
	if err != nil {
		return err
	}
	plain, err := s.run(ctx, "plain", names)
	if err != nil {
		return err
	}
	printCounts(out, "plain", names, plain)
	if c.plain {
		printFailed(out, names, plain)
		return nil
	}
	with, err := s.run(ctx, "plugin", names)
	if err != nil {
		return err
	}
	printCounts(out, "with the plugin", names, with)
	return report(out, compare(names, plain, with, known), known)
}
