// Package prometheus runs the dashboard's queries and the rules of metrics/ on a real
// Prometheus, which scrapes an application on real servers.
package prometheus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
)

// app is scraped by all tests.
var app *application

func TestMain(m *testing.M) {
	code, err := run(m)
	if err == nil && code == 0 {
		// GORM never stops the goroutine of a prepared statement store.
		err = goleak.Find(goleak.IgnoreTopFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	cluster, err := pgcluster.Start(ctx, pgcluster.Config{Shards: 2, Replicas: 1, InMemory: true})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, cluster.Stop(ctx)) }()
	if app, err = startApplication(ctx, cluster); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, app.stop()) }()
	if err := app.work(ctx); err != nil {
		return 1, fmt.Errorf("the application's first work: %w", err)
	}
	return m.Run(), nil
}
