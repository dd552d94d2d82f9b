package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type config struct {
	tenants, processes   int
	warm, steady, outage time.Duration
	load                 float64
	strict               bool
	child                int // this process's number; -1: it is the parent
	url                  string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, flags()); err != nil {
		fmt.Fprintln(os.Stderr, "limitbench:", err)
		stop()
		os.Exit(1)
	}
}

func flags() config {
	var c config
	short := flag.Bool("short", false, "few tenants and seconds, as in continuous integration")
	flag.IntVar(&c.tenants, "tenants", 1000, "tenants")
	flag.IntVar(&c.processes, "processes", 3, "processes that share the limits")
	flag.DurationVar(&c.warm, "warm", 10*time.Second, "time in which bursts are spent, before it counts")
	flag.DurationVar(&c.steady, "for", 30*time.Second, "time that counts while Redis works")
	flag.DurationVar(&c.outage, "outage", 5*time.Second, "time of each phase of the outages")
	flag.Float64Var(&c.load, "load", 2.5, "load of all processes on a tenant, in multiples of its limit")
	flag.BoolVar(&c.strict, "strict", false, "exit with 1 if a bar is missed")
	flag.IntVar(&c.child, "child", -1, "for its own processes")
	flag.StringVar(&c.url, "redis", "", "for its own processes")
	flag.Parse()
	if *short {
		c.tenants, c.warm, c.steady, c.outage = 100, 8*time.Second, 10*time.Second, 2*time.Second
	}
	return c
}

func run(ctx context.Context, c config) error {
	switch {
	case c.tenants < 1 || c.processes < 1 || c.load <= 1:
		return errors.New("want tenants, processes, and a load above 1")
	case c.child >= 0:
		return serve(ctx, c, os.Stdin, os.Stdout)
	}
	return measure(ctx, c, os.Stdout)
}
