package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/demo"
	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/seed"
	"github.com/gormtenancy/gormtenancy/examples/echo-app/internal/server"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const usage = `usage:
  echo-app demo  [--port N] [--data DIR]       everything included: PostgreSQL, tenants, data
  echo-app serve --dsn DSN [--listen ADDRESS]  on a database that exists already; see serve -h
`

// run runs one command until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	var err error
	switch command {
	case "demo":
		err = runDemo(ctx, args, out)
	case "serve":
		err = runServe(ctx, args, out)
	case "help", "-h", "--help":
		fmt.Fprint(out, usage)
	case "":
		return errors.New("no command\n" + strings.TrimSpace(usage))
	default:
		return fmt.Errorf("unknown command %q\n%s", command, strings.TrimSpace(usage))
	}
	if errors.Is(err, flag.ErrHelp) || errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil // asked for: by -h, or by a signal during the start
	}
	return err
}

func runDemo(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	cfg := demo.Config{Out: out}
	f.IntVar(&cfg.Port, "port", 0, "`port` to serve on; 0 takes a free one")
	f.StringVar(&cfg.Data, "data", "", "`directory` to keep the data in for the next start")
	if err := parse(f, args, out); err != nil {
		return err
	}
	return demo.Run(ctx, cfg)
}

// serving is what serve is told.
type serving struct {
	dsn, listen string
	tenants     []tenant.ID
	drainDelay  time.Duration
}

func runServe(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	var s serving
	// Not as its default: -h would print it, password and all.
	f.StringVar(&s.dsn, "dsn", "", "the database's `DSN`; without it, DATABASE_URL's")
	f.StringVar(&s.listen, "listen", "127.0.0.1:8080", "`address` to serve on")
	f.DurationVar(&s.drainDelay, "drain-delay", 0, "how long /readyz says 503 before the end")
	f.Func("tenants", "`IDs` of tenants to create with sample data unless they exist, separated by commas", s.setTenants)
	if err := parse(f, args, out); err != nil {
		return err
	}
	if s.dsn = cmp.Or(s.dsn, os.Getenv("DATABASE_URL")); s.dsn == "" {
		return errors.New("no database: say --dsn, or set DATABASE_URL")
	}
	return s.run(ctx, out)
}

func (s *serving) setTenants(list string) error {
	for id := range strings.SplitSeq(list, ",") {
		t, err := tenant.ParseID(id)
		if err != nil {
			return err
		}
		s.tenants = append(s.tenants, t)
	}
	return nil
}

// run serves a database that is control plane and only shard.
func (s *serving) run(ctx context.Context, out io.Writer) (err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer l.Close()
	reg, err := registry.Open(ctx, registry.Config{DSN: s.dsn, HomeShard: homeShard})
	if err != nil {
		return err
	}
	defer reg.Close()
	metrics := server.NewMetrics()
	db, err := server.OpenDatabase(ctx, s.dsn, reg, metrics, slog.Default())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := seed.Tenants(ctx, reg, db.DB, s.tenants...); err != nil {
		return err
	}
	fmt.Fprintf(out, "Serving on http://%s\n", l.Addr())
	return server.New(server.Config{
		DB: db.DB, Registry: reg, Limiter: db.Governor, Metrics: metrics, DrainDelay: s.drainDelay,
	}).Serve(ctx, l)
}

// homeShard names the database as the plugin does.
const homeShard = "default"

// parse reads the flags, or prints them if asked to. Errors are the caller's to
// print.
func parse(f *flag.FlagSet, args []string, out io.Writer) error {
	f.SetOutput(io.Discard)
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(out, "flags of %s:\n", f.Name())
		f.SetOutput(out)
		f.PrintDefaults()
	}
	if err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return nil
}
