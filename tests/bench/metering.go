package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/client_golang/prometheus"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// printMetering prints what WithMetrics adds to a read: of the plugin without it and
// with it, the first takes plain GORM's place.
func (b *bench) printMetering(ctx context.Context, out io.Writer) error {
	dsn, err := b.server.database(ctx, "metering")
	if err != nil {
		return err
	}
	specs, err := makeTables(ctx, dsn, 1)
	if err != nil {
		return err
	}
	times, err := b.meteredReads(ctx, dsn, specs)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "metrics, a read on loopback: %.1f us without, %.1f us with, ratio %.4f, added %.0f ns\n",
		times.value[plainWay], times.value[oursWay], times.ratio, times.diff*1e3)
	inProcess, err := b.meteredProcess(ctx, dsn, specs)
	if err != nil {
		return err
	}
	for _, r := range inProcess {
		fmt.Fprintf(out, "metrics, %s: %.2f %s without, %.2f with, added %.2f\n", r.Name, r.Plain, r.Unit, r.Ours, r.Figure)
	}
	return nil
}

func (b *bench) meteredReads(ctx context.Context, dsn string, specs []tenant.Spec) (medians, error) {
	l, err := b.meteredLab(ctx, dsn, specs)
	if err != nil {
		return medians{}, err
	}
	defer l.stop()
	var run [ways]func() (float64, error)
	for _, w := range []int{plainWay, oursWay} {
		run[w] = func() (float64, error) {
			return timed(b.calls, func(int) error { return l.call(w, 0, first(7)) })
		}
	}
	return alternate(ctx, b.effort.fastRounds, run)
}

func (b *bench) meteredProcess(ctx context.Context, dsn string, specs []tenant.Spec) ([]result, error) {
	tape, dsn, err := startReplay(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer tape.close()
	l, err := b.meteredLab(ctx, dsn, specs)
	if err != nil {
		return nil, err
	}
	defer l.stop()
	return b.againstTape(ctx, l, tape)
}

// meteredLab has the plugin in both ways, on one connection each; with -self, without
// metrics in both.
func (b *bench) meteredLab(ctx context.Context, dsn string, specs []tenant.Spec) (_ *lab, err error) {
	l := &lab{tenants: specs, ctx: []context.Context{tenant.NewContext(ctx, specs[0].ID)}}
	defer func() {
		if err != nil {
			l.stop()
		}
	}()
	for _, w := range []int{plainWay, oursWay} {
		var opts []tenantplugin.Option
		if w == oursWay && b.install != nil {
			opts = append(opts, tenantplugin.WithMetrics(prometheus.NewRegistry()))
		}
		db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
		if err != nil {
			return nil, fmt.Errorf("open GORM: %w", err)
		}
		p := tenantplugin.New(opts...)
		if err := db.Use(p); err != nil {
			return nil, fmt.Errorf("use the plugin: %w", err)
		}
		l.db[w], l.close = db, append(l.close, func() { p.Close() })
		if err := l.limit(db, 1); err != nil {
			return nil, err
		}
		if _, err := p.Registry().Adopt(ctx, specs[0]); err != nil && !errors.Is(err, tenant.ErrExists) {
			return nil, fmt.Errorf("adopt the tenant: %w", err)
		}
	}
	return l, nil
}
