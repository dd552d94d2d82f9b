package registry

import (
	"context"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	// trimEvery is how often old usage is looked for.
	trimEvery = time.Hour
	// sizeCheck is how often it is looked whether sizes are due.
	sizeCheck = time.Minute
	// measureEvery is how often they are measured if only a limit wants it.
	measureEvery = time.Hour
)

// sizesLock names the lock of who measures. No tenant's ID has a dot.
const sizesLock tenant.ID = "sizes.measure"

// every calls do, give or take 10% of a time apart, until ctx ends.
func (r *Registry) every(ctx context.Context, d time.Duration, what string, do func(context.Context) error) {
	tick := time.NewTicker(jittered(d))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := do(ctx); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "tenant registry could not "+what, "error", err)
		}
	}
}

// keepUsage deletes old usage until ctx ends.
func (r *Registry) keepUsage(ctx context.Context) {
	if r.cfg.DeleteEvery < 0 {
		return
	}
	r.every(ctx, trimEvery, "delete old usage", func(ctx context.Context) error {
		_, err := r.TrimUsage(ctx, r.cfg.KeepMinutes, r.cfg.KeepHours)
		return err
	})
}

// keepSizes measures tenants now and then, until ctx ends, unless another process does.
func (r *Registry) keepSizes(ctx context.Context) {
	check := sizeCheck
	switch {
	case r.cfg.MeasureEvery < 0:
		return
	case r.cfg.MeasureEvery > 0:
		check = min(check, r.cfg.MeasureEvery)
	}
	r.every(ctx, check, "measure the sizes of tenants", func(ctx context.Context) error {
		_, err := r.measureDue(ctx)
		return err
	})
}

// measureDue measures if that is wanted, and was not done of late by anybody. It reports
// whether it did.
func (r *Registry) measureDue(ctx context.Context) (bool, error) {
	if due, err := r.sizesDue(ctx); err != nil || !due {
		return false, err
	}
	l, err := r.lock(ctx, sizesLock, false)
	if err != nil || l == nil {
		return false, err
	}
	defer l.unlock(ctx)
	if due, err := r.sizesDue(ctx); err != nil || !due {
		return false, err
	}
	_, err = r.MeasureSizes(ctx)
	return err == nil, err
}

func (r *Registry) sizesDue(ctx context.Context) (bool, error) {
	every := r.cfg.MeasureEvery
	if every == 0 {
		var wanted bool
		if err := r.questions.QueryRow(ctx, r.sql.storage).Scan(&wanted); err != nil {
			return false, failed(ctx, "look for limits of storage", err)
		}
		if !wanted {
			return false, nil
		}
		every = measureEvery
	}
	var age *float64 // nil: nothing was measured yet
	if err := r.questions.QueryRow(ctx, r.sql.sizesAge).Scan(&age); err != nil {
		return false, failed(ctx, "look for the last sizes", err)
	}
	return age == nil || *age >= every.Seconds(), nil
}
