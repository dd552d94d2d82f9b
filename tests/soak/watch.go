package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
	"github.com/gormtenancy/gormtenancy/tests/fleetlab"
)

// watch serves requests for the whole time, lets tenants come and go, and looks at the
// process again and again.
func watch(ctx context.Context, app *fleetlab.App, c config, out io.Writer) (samples []sample, err error) {
	const times = 40
	churned := 0
	err = app.During(ctx, func() error {
		for range times {
			pause, cancel := context.WithTimeout(ctx, c.length/times)
			n, err := churn(pause, app)
			cancel()
			if churned += n; err != nil {
				return err
			}
			s := measure(app)
			if s.backends, err = backends(ctx, app.Fleet.DSN); err != nil {
				return err
			}
			samples = append(samples, s)
		}
		return nil
	})
	fmt.Fprintf(out, "%d tenants came and went\n", churned)
	return samples, err
}

// churn lets one tenant after the other come, change and go until ctx ends, from
// another process's registry.
func churn(ctx context.Context, app *fleetlab.App) (n int, err error) {
	reg := app.Fleet.Registry
	for ; ctx.Err() == nil; n++ {
		if err := oneLife(context.WithoutCancel(ctx), app, reg, n); err != nil {
			return n, err
		}
		_ = fleetlab.Wait(ctx, 50*time.Millisecond) // its end is the loop's
	}
	return n, nil
}

// oneLife is a short one.
func oneLife(ctx context.Context, app *fleetlab.App, reg *registry.Registry, n int) error {
	id := tenant.ID(fmt.Sprint("guest-", n))
	host := registry.Host(string(id) + ".example")
	steps := []func() error{
		func() error { _, err := reg.Create(ctx, tenant.Spec{ID: id}); return err },
		func() error { return reg.AddName(ctx, id, host) },
		func() error { _, err := app.Registry.LookupName(ctx, host); return err },
		func() error { return app.DB.WithContext(tenant.NewContext(ctx, id)).Exec("select 1").Error },
		func() error { return reg.Suspend(ctx, id) },
		func() error { return reg.Delete(ctx, id) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d of tenant %s: %w", i, id, err)
		}
	}
	if _, err := app.Registry.Get(ctx, id); !errors.Is(err, tenant.ErrUnknown) {
		return fmt.Errorf("tenant %s is deleted: %w", id, err)
	}
	return nil
}

// verdict compares the second quarter with the last: what is least of everything. What
// connections remember of tenants goes with them when they are replaced, so that the
// heap rises and falls by a third; what leaks lifts the lowest, too.
func verdict(samples []sample, out io.Writer) error {
	quarter := len(samples) / 4
	second, last := samples[quarter:2*quarter], samples[3*quarter:]
	var grown []error
	for _, v := range []struct {
		what  string
		of    func(sample) int64
		allow float64 // growth of the least, as a factor
		slack int64   // and beside that
		unit  func(int64) string
	}{
		{"heap", func(s sample) int64 { return s.heap }, 1.05, 512 << 10, megas},
		{"goroutines", func(s sample) int64 { return int64(s.goroutines) }, 1, 10, plain},
		{"tenants remembered", func(s sample) int64 { return int64(s.entries) }, 1, 10, plain},
		{"connections", func(s sample) int64 { return int64(s.conns) }, 1, 2, plain},
		{"server processes", func(s sample) int64 { return s.backends }, 1.1, 16 << 20, megas},
	} {
		before, after := least(second, v.of), least(last, v.of)
		fmt.Fprintf(out, "%s: at least %s in the second quarter, %s in the last; at most %s\n", v.what, v.unit(before), v.unit(after), v.unit(most(samples, v.of)))
		if float64(after) > float64(before)*v.allow+float64(v.slack) {
			grown = append(grown, fmt.Errorf("%s grow", v.what))
		}
	}
	return errors.Join(grown...)
}

func megas(n int64) string { return fmt.Sprintf("%.1f MB", mega(n)) }
func plain(n int64) string { return fmt.Sprint(n) }

func least(samples []sample, of func(sample) int64) int64 {
	return of(slices.MinFunc(samples, func(a, b sample) int { return cmp.Compare(of(a), of(b)) }))
}

func most(samples []sample, of func(sample) int64) int64 {
	return of(slices.MaxFunc(samples, func(a, b sample) int { return cmp.Compare(of(a), of(b)) }))
}
