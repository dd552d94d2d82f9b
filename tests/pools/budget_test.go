package pools

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

var (
	tenants    = flag.Int("pools.tenants", 60, "tenants on two shards of one server")
	goroutines = flag.Int("pools.goroutines", 100, "callers at the same time")
	statements = flag.Int("pools.statements", 40, "statements of each")
	budget     = flag.Int("pools.budget", 12, "connections of the application, in all")
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, goleak.Find)) }

// Item is the tests' model.
type Item struct {
	ID   int64
	Name string
}

// appName marks the application's connections on the server.
const appName = "gormtenancy-pools"

// lab is an application on two databases of one server.
type lab struct {
	*testing.T
	db     *gorm.DB
	plugin *tenantplugin.Plugin
	reg    *registry.Registry
	watch  *pgx.Conn
	ids    []tenant.ID
}

func newLab(t *testing.T) *lab {
	t.Helper()
	s := pgtest.Any(t)
	l := &lab{T: t}
	control := s.Database(t)
	var err error
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	l.reg, err = registry.Open(t.Context(), registry.Config{DSN: control, Logger: slog.New(slog.DiscardHandler)})
	check(err)
	t.Cleanup(l.reg.Close)
	var first string
	for i := range 2 {
		dsn := s.Database(t) + "&application_name=" + appName
		if first == "" {
			first = dsn
		}
		check(l.reg.AddShard(t.Context(), tenant.Shard{Name: fmt.Sprint("s", i), Primary: dsn}))
	}
	l.plugin = tenantplugin.New(tenantplugin.WithRegistry(l.reg), tenantplugin.WithModels(&Item{}), tenantplugin.WithConnBudget(*budget, 0))
	l.db, err = gorm.Open(postgres.Open(first), &gorm.Config{Logger: logger.Discard})
	check(err)
	check(l.db.Use(l.plugin))
	t.Cleanup(func() { _ = l.plugin.Close() })
	for i := range *tenants {
		id := tenant.ID(fmt.Sprintf("t%05d", i))
		_, err := l.reg.Create(t.Context(), tenant.Spec{ID: id, Shard: fmt.Sprint("s", i%2)})
		check(err)
		l.ids = append(l.ids, id)
	}
	l.watch, err = pgx.Connect(t.Context(), control)
	check(err)
	t.Cleanup(func() { l.watch.Close(context.WithoutCancel(t.Context())) })
	return l
}

// open counts the application's connections as the server sees them. Those of the
// registry, which makes the tenants, are others.
func (l *lab) open() (n int) {
	l.Helper()
	err := l.watch.QueryRow(l.Context(), "select count(*) from pg_stat_activity where application_name = $1", appName).Scan(&n)
	if err != nil {
		l.Fatal(err)
	}
	return n
}

// Many callers of many tenants on two shards are all served, and the server never sees
// more connections than the budget.
func TestBudgetHolds(t *testing.T) {
	l := newLab(t)
	l.reg.Close() // its own connections to the shards, which made the tenants, are gone with it
	reg, err := registry.Open(t.Context(), registry.Config{DSN: strings.Clone(l.watch.Config().ConnString())})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	p := tenantplugin.New(tenantplugin.WithRegistry(reg), tenantplugin.WithConnBudget(*budget, 0))
	shard, err := reg.Shard(t.Context(), "s0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.plugin.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := gorm.Open(postgres.Open(shard.Primary), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Use(p); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	handle, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	handle.SetMaxIdleConns(*goroutines)
	var work sync.WaitGroup
	done := make(chan struct{})
	for range *goroutines {
		work.Go(func() {
			for range *statements {
				ctx := tenant.NewContext(t.Context(), l.ids[rand.IntN(len(l.ids))])
				tx := db.WithContext(ctx)
				var items []Item
				err := tx.Limit(3).Find(&items).Error
				if err == nil && rand.IntN(4) == 0 {
					err = tx.Create(&Item{Name: "x"}).Error
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	go func() { work.Wait(); close(done) }()
	most, looks := 0, 0
	for watching := true; watching; looks++ {
		most = max(most, l.open())
		select {
		case <-done:
			watching = false
		default:
		}
	}
	t.Logf("%d callers, %d tenants: at most %d connections in %d looks, of %d allowed", *goroutines, *tenants, most, looks, *budget)
	if most > *budget || most < *budget/2 {
		t.Errorf("the server saw %d connections, the budget is %d", most, *budget)
	}
	var closed int64
	for _, s := range p.Stats() {
		closed += s.RetiredBudget
		if s.BudgetTotal != *budget || s.BudgetUsed > *budget {
			t.Errorf("%+v", s)
		}
	}
	t.Logf("%d connections gave way to another pool's", closed)
}
