package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Item is a row of every tenant's table.
type Item struct {
	ID    int64
	Name  string
	Price int64
}

// noisy is the neighbour.
const noisy tenant.ID = "noisy"

type lab struct {
	options
	cluster         *pgcluster.Cluster
	reg             *registry.Registry
	governor        *quota.Governor
	plain, governed *app

	mu   sync.Mutex
	last error // of another tenant's request
}

// app is the application, with limits or without.
type app struct {
	db     *gorm.DB
	plugin *tenantplugin.Plugin
}

func id(i int) tenant.ID { return tenant.ID(fmt.Sprintf("t%04d", i)) }

func open(ctx context.Context, o options) (l *lab, err error) {
	l = &lab{options: o}
	defer func() {
		if err != nil {
			_ = l.close(context.WithoutCancel(ctx)) // the error before says more
		}
	}()
	if l.cluster, err = pgcluster.Start(ctx, pgcluster.Config{InMemory: true}); err != nil {
		return nil, err
	}
	dsn := l.cluster.Shards()[0].Primary.DSN
	if l.reg, err = registry.Open(ctx, registry.Config{DSN: dsn, HomeShard: "default"}); err != nil {
		return nil, err
	}
	if err := l.limit(ctx); err != nil {
		return nil, err
	}
	if l.plain, err = l.openApp(dsn, tenantplugin.WithModels(&Item{})); err != nil {
		return nil, err
	}
	if l.governed, err = l.openApp(dsn, tenantplugin.WithModels(&Item{}), tenantplugin.WithGovernor(l.governor)); err != nil {
		return nil, err
	}
	return l, l.fill(ctx)
}

func (l *lab) openApp(dsn string, opts ...tenantplugin.Option) (*app, error) {
	a := &app{plugin: tenantplugin.New(append(opts, tenantplugin.WithRegistry(l.reg))...)}
	var err error
	if a.db, err = gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard}); err != nil {
		return nil, err
	}
	return a, a.db.Use(a.plugin)
}

// fill makes the tenants, each with some rows, and the noisy one with many.
func (l *lab) fill(ctx context.Context) error {
	fill := func(id tenant.ID, rows int) error {
		if _, err := l.reg.Create(ctx, tenant.Spec{ID: id}); err != nil {
			return err
		}
		db := l.plain.db.WithContext(tenant.NewContext(ctx, id))
		return errors.Join(db.Exec("insert into items (name, price) select md5(i::text), i % 1000 from generate_series(1, ?) i", rows).Error,
			db.Exec("analyze items").Error)
	}
	for i := range l.tenants - 1 {
		if err := fill(id(i), 1000); err != nil {
			return err
		}
	}
	return fill(noisy, l.rows)
}

func (l *lab) close(ctx context.Context) error {
	var err error
	for _, a := range []*app{l.plain, l.governed} {
		if a != nil && a.db != nil {
			err = errors.Join(err, a.plugin.Close())
		}
	}
	if l.governor != nil {
		l.governor.Stop()
	}
	if l.reg != nil {
		l.reg.Close()
	}
	if l.cluster != nil {
		err = errors.Join(err, l.cluster.Stop(ctx))
	}
	return err
}

// noise is how many heavy requests the neighbour sends in a second.
func (l *lab) noise() float64 {
	return float64(l.times) * float64(l.rate) / float64(l.tenants)
}

// measured is what came of a phase.
type measured struct {
	p99                    time.Duration
	failed, heavy, refused int
}

func (m measured) over(quiet measured) float64 { return float64(m.p99) / float64(quiet.p99) }

// phase sends requests of all tenants at the rate, whether those before have ended or
// not, and the neighbour's.
func (l *lab) phase(ctx context.Context, a *app, loud bool) (measured, error) {
	var m measured
	var took []time.Duration
	var mu sync.Mutex
	var under sync.WaitGroup
	every := func(gap time.Duration, do func()) {
		tick := time.NewTicker(gap)
		defer tick.Stop()
		end := time.After(l.options.phase)
		for {
			select {
			case <-ctx.Done():
				return
			case <-end:
				return
			case <-tick.C:
				under.Go(do)
			}
		}
	}
	under.Go(func() {
		every(time.Second/time.Duration(l.rate), func() {
			start := time.Now()
			err := l.request(ctx, a, id(rand.IntN(l.tenants-1)))
			d := time.Since(start)
			mu.Lock()
			defer mu.Unlock()
			if took = append(took, d); err != nil {
				m.failed++
			}
		})
	})
	if loud {
		under.Go(func() {
			every(time.Duration(float64(time.Second)/l.noise()), func() {
				err := heavy(ctx, a)
				mu.Lock()
				defer mu.Unlock()
				if m.heavy++; err != nil {
					m.heavy--
					m.refused++
				}
			})
		})
	}
	under.Wait()
	if len(took) == 0 {
		return m, errors.Join(ctx.Err(), errors.New("there was no request"))
	}
	slices.Sort(took)
	m.p99 = took[len(took)*99/100]
	return m, ctx.Err()
}

// request is an ordinary tenant's: it reads a page, and every fifth writes.
func (l *lab) request(ctx context.Context, a *app, id tenant.ID) error {
	db := a.db.WithContext(tenant.NewContext(ctx, id))
	var found []Item
	err := db.Where("id > ?", rand.IntN(900)).Order("id").Limit(20).Find(&found).Error
	if err == nil && rand.IntN(5) == 0 {
		err = db.Model(&Item{}).Where("id = ?", 1+rand.IntN(900)).Update("price", rand.IntN(1000)).Error
	}
	if err != nil {
		l.mu.Lock()
		l.last = err
		l.mu.Unlock()
	}
	return err
}

func (l *lab) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// heavy is the neighbour's.
func heavy(ctx context.Context, a *app) error {
	var n int64
	return a.db.WithContext(tenant.NewContext(ctx, noisy)).
		Raw("select count(*) from (select name, sum(price) from items group by name order by 2 desc) x").Scan(&n).Error
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

func show(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }
