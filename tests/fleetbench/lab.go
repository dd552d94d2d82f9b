package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// lab is a server with an application's database.
type lab struct {
	cluster *pgcluster.Cluster
	plugin  *tenantplugin.Plugin
	hand    *pgx.Conn
	dsn     string
	// ddl makes the models' tables, in one message of so many statements.
	ddl        string
	statements int
	made       int // tenants, by either way
}

// figures are medians of the time that one tenant takes, in milliseconds.
type figures struct{ hand, ours float64 }

func openLab(ctx context.Context) (l *lab, err error) {
	cluster, err := pgcluster.Start(ctx, pgcluster.Config{Shards: 1})
	if err != nil {
		return nil, err
	}
	l = &lab{cluster: cluster, dsn: cluster.Shards()[0].Primary.DSN}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close(ctx))
		}
	}()
	if l.hand, err = pgx.Connect(ctx, l.dsn); err != nil {
		return nil, err
	}
	if err := l.recordDDL(ctx); err != nil {
		return nil, err
	}
	db, err := gorm.Open(postgres.Open(l.dsn), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return nil, err
	}
	p := tenantplugin.New(tenantplugin.WithModels(models...))
	if err := db.Use(p); err != nil {
		return nil, err
	}
	l.plugin = p
	return l, l.create(ctx) // the first one is recorded
}

func (l *lab) close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	if l.plugin != nil {
		errs = append(errs, l.plugin.Close())
	}
	if l.hand != nil {
		errs = append(errs, l.hand.Close(ctx))
	}
	return errors.Join(append(errs, l.cluster.Stop(ctx))...)
}

// recorder is a logger that keeps the DDL which GORM executes.
type recorder struct {
	logger.Interface
	texts []string
}

func (r *recorder) Trace(_ context.Context, _ time.Time, statement func() (string, int64), _ error) {
	text, _ := statement()
	if strings.HasPrefix(text, "CREATE ") || strings.HasPrefix(text, "ALTER ") {
		r.texts = append(r.texts, text)
	}
}

// recordDDL lets plain GORM make the tables once, to have the same DDL by hand.
func (l *lab) recordDDL(ctx context.Context) error {
	if _, err := l.hand.Exec(ctx, "create schema scratch"); err != nil {
		return err
	}
	rec := &recorder{Interface: logger.Discard}
	db, err := gorm.Open(postgres.Open(l.dsn+"&search_path=scratch"), &gorm.Config{Logger: rec})
	if err != nil {
		return err
	}
	err = db.AutoMigrate(models...)
	if handle, dbErr := db.DB(); dbErr == nil {
		err = errors.Join(err, handle.Close())
	}
	l.ddl, l.statements = strings.Join(rec.texts, ";\n"), len(rec.texts)
	return err
}

// byHand makes a tenant's schema in one message, which is one transaction.
func (l *lab) byHand(ctx context.Context, conn *pgx.Conn, name string) error {
	text := fmt.Sprintf("create schema %s; select set_config('search_path', '%[1]s', true); %[2]s", name, l.ddl)
	_, err := conn.PgConn().Exec(ctx, text).ReadAll()
	return err
}

func (l *lab) create(ctx context.Context) error {
	l.made++
	_, err := l.plugin.Registry().Create(ctx, tenant.Spec{ID: tenant.ID(fmt.Sprint("t", l.made))})
	return err
}

// fill makes tenants by hand until there are n, on two connections.
func (l *lab) fill(ctx context.Context, n int) error {
	var g errgroup.Group
	from, to := l.made, max(n, l.made)
	for half := range 2 {
		g.Go(func() error {
			conn, err := pgx.Connect(ctx, l.dsn)
			if err != nil {
				return err
			}
			defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is pending
			for i := from + half; i < to && err == nil; i += 2 {
				err = l.byHand(ctx, conn, fmt.Sprint("filled_", i))
			}
			return err
		})
	}
	l.made = to
	return g.Wait()
}

// measureAt measures among n tenants.
func (l *lab) measureAt(ctx context.Context, n int, c config, out io.Writer) (figures, error) {
	start := time.Now()
	if err := l.fill(ctx, n); err != nil {
		return figures{}, err
	}
	filled := time.Since(start)
	var hand, ours []float64
	for round := range c.rounds + 1 { // the first one warms up
		h, err := l.timed(c.batch, func() error {
			l.made++
			return l.byHand(ctx, l.hand, fmt.Sprint("hand_", l.made))
		})
		if err != nil {
			return figures{}, err
		}
		o, err := l.timed(c.batch, func() error { return l.create(ctx) })
		if err != nil {
			return figures{}, err
		}
		if round > 0 {
			hand, ours = append(hand, h), append(ours, o)
		}
	}
	f := figures{median(hand), median(ours)}
	fmt.Fprintf(out, "among %d tenants (filled in %s): by hand %.1f ms, Create %.1f ms per tenant, rate %.2f\n",
		n, filled.Round(time.Second), f.hand, f.ours, f.hand/f.ours)
	return f, nil
}

// timed returns the milliseconds that one of n calls takes.
func (l *lab) timed(n int, do func() error) (float64, error) {
	start := time.Now()
	for range n {
		if err := do(); err != nil {
			return 0, err
		}
	}
	return float64(time.Since(start).Microseconds()) / 1000 / float64(n), nil
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}
