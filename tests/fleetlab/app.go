package fleetlab

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
	"github.com/gormtenancy/gormtenancy/resolver"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// item is what the application knows of its table, before and after.
type item struct {
	ID   int64 `gorm:"default:(-)"`
	Name string
}

// TableName implements GORM's Tabler.
func (item) TableName() string { return "item" }

// App is an application with a registry of its own, as another process has one.
type App struct {
	DB       *gorm.DB
	Registry *registry.Registry
	Fleet    *Fleet
	plugin   *tenantplugin.Plugin
	gap      time.Duration

	mu     sync.Mutex // guards what follows
	n      int        // requests since the last report
	took   []time.Duration
	failed map[string]int
}

// kept is how many requests a report looks at, the newest. Their place is taken at
// once, so that it does not look like a leak.
const kept = 1 << 16

// OpenApp opens an application that gets rate requests per second.
func (f *Fleet) OpenApp(ctx context.Context, rate int, opts ...tenantplugin.Option) (a *App, err error) {
	a = &App{Fleet: f, gap: time.Second / time.Duration(rate), took: make([]time.Duration, kept), failed: map[string]int{}}
	if a.Registry, err = f.OpenRegistry(ctx); err != nil {
		return nil, err
	}
	a.plugin = tenantplugin.New(append(opts, tenantplugin.WithRegistry(a.Registry))...)
	a.DB, err = gorm.Open(postgres.Open(f.DSN[0]), &gorm.Config{Logger: logger.Discard})
	if err == nil {
		err = a.DB.Use(a.plugin)
	}
	if err != nil {
		a.Registry.Close()
		return nil, err
	}
	return a, nil
}

// Pools returns a snapshot of the application's connection pools.
func (a *App) Pools() []resolver.PoolStats { return a.plugin.Stats() }

// Close closes the application.
func (a *App) Close() error {
	err := a.plugin.Close()
	a.Registry.Close()
	return err
}

// During sends requests at the application's rate, whether the ones before have ended
// or not, until do returns.
func (a *App) During(ctx context.Context, do func() error) error {
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
			requests.Go(func() { a.request(ctx, ID(rand.IntN(a.Fleet.Tenants))) })
		}
	}
}

// request is one of the application's: some tenant writes and reads.
func (a *App) request(ctx context.Context, id tenant.ID) {
	db := a.DB.WithContext(tenant.NewContext(ctx, id))
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
	a.took[a.n%kept] = took
	a.n++
	if err != nil {
		a.failed[err.Error()]++
	}
}

// Touch has the tenants from one number up to another read once, one after the other.
func (a *App) Touch(ctx context.Context, from, to int) error {
	for i := from; i < to; i++ {
		var found []item
		if err := a.DB.WithContext(tenant.NewContext(ctx, ID(i))).Limit(10).Find(&found).Error; err != nil {
			return fmt.Errorf("tenant %s: %w", ID(i), err)
		}
	}
	return nil
}

// Report prints what the requests since the last report took, and returns the p99.
func (a *App) Report(out io.Writer, what string) (p99 time.Duration, err error) {
	a.mu.Lock()
	n := a.n
	all := slices.Clone(a.took[:min(n, kept)])
	a.n = 0
	a.mu.Unlock()
	if len(all) == 0 {
		return 0, errors.New("there was no request to report on")
	}
	slices.Sort(all)
	at := func(q float64) time.Duration { return all[int(q*float64(len(all)-1))].Round(10 * time.Microsecond) }
	fmt.Fprintf(out, "%s: %d requests, p50 %s, p95 %s, p99 %s\n", what, n, at(0.5), at(0.95), at(0.99))
	return at(0.99), nil
}

// Failures prints the requests that failed so far, and counts them.
func (a *App) Failures(out io.Writer) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for cause, times := range a.failed {
		fmt.Fprintf(out, "%d failed: %s\n", times, cause)
		n += times
	}
	return n
}

// Wait waits, or until ctx ends.
func Wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
