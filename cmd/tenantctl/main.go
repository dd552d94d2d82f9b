// Command tenantctl is the operator's hand on a control plane: tenants, shards
// and the migrations of tenants' schemas. Its commands are package ctl's.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/gormtenancy/gormtenancy/internal/ctl"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel() // ends things in order
		<-signals
		os.Exit(ctl.Interrupted) // at once
	}()
	os.Exit(ctl.Run(ctx, ctl.Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}, os.Args[1:]))
}
