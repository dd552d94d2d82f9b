package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// item is what the application knows of its table, before and after.
type item struct {
	ID   int64 `gorm:"default:(-)"`
	Name string
}

// TableName implements GORM's Tabler.
func (item) TableName() string { return "item" }

// load is an application with its own registry, as another process has one.
type load struct {
	db  *gorm.DB
	n   int
	gap time.Duration

	mu     sync.Mutex
	took   []time.Duration
	failed map[string]int
}

// underLoad returns the p99 while the fleet migrates as a multiple of the quiet one,
// and how many requests failed.
func (l *lab) underLoad(ctx context.Context, out io.Writer) (factor float64, failures int, err error) {
	reg, err := registry.Open(ctx, registry.Config{DSN: l.dsn[0], Schema: control})
	if err != nil {
		return 0, 0, err
	}
	defer reg.Close()
	db, err := gorm.Open(postgres.Open(l.dsn[0]), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return 0, 0, err
	}
	p := tenantplugin.New(tenantplugin.WithRegistry(reg))
	if err := db.Use(p); err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	app := &load{db: db, n: l.tenants, gap: time.Second / time.Duration(l.rate), failed: map[string]int{}}
	app.during(ctx, func() error { return wait(ctx, l.quiet/4) }) //nolint:errcheck // it warms up
	app.took = nil
	if err := app.during(ctx, func() error { return wait(ctx, l.quiet) }); err != nil {
		return 0, 0, err
	}
	quiet := app.report(out, "quiet")
	app.took = nil
	if err := app.during(ctx, func() error { return l.migrate(ctx, l.pace) }); err != nil {
		return 0, 0, err
	}
	busy := app.report(out, "while the fleet migrates")
	for cause, n := range app.failed {
		fmt.Fprintf(out, "%d failed: %s\n", n, cause)
		failures += n
	}
	return float64(busy) / float64(quiet), failures, nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// during sends requests at the load's rate, whether the ones before have ended or
// not, until do returns.
func (a *load) during(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	tick := time.NewTicker(a.gap)
	defer tick.Stop()
	var requests sync.WaitGroup
	defer requests.Wait()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			requests.Go(func() { a.request(ctx) })
		}
	}
}

// request is one of the application's: some tenant writes and reads.
func (a *load) request(ctx context.Context) {
	db := a.db.WithContext(tenant.NewContext(ctx, tenant.ID(id(rand.IntN(a.n)))))
	start := time.Now()
	var found []item
	err := db.Limit(10).Find(&found).Error
	if err == nil {
		err = db.Transaction(func(tx *gorm.DB) error {
			if err := tx.Create(&item{Name: "x"}).Error; err != nil {
				return err
			}
			return tx.Limit(10).Find(&found).Error
		})
	}
	took := time.Since(start)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.took = append(a.took, took)
	if err != nil {
		a.failed[err.Error()]++
	}
}

// report prints the load's quantiles and returns the p99.
func (a *load) report(out io.Writer, what string) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := slices.Sorted(slices.Values(a.took))
	at := func(q float64) time.Duration { return all[int(q*float64(len(all)-1))] }
	fmt.Fprintf(out, "%s: %d requests, p50 %s, p95 %s, p99 %s\n", what, len(all),
		at(0.5).Round(10*time.Microsecond), at(0.95).Round(10*time.Microsecond), at(0.99).Round(10*time.Microsecond))
	return at(0.99)
}
