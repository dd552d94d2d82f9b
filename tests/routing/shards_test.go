package routing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/resolver"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// fleet is an application with a control plane of its own, whose shards change.
type fleet struct {
	reg *registry.Registry
	db  *gorm.DB
}

func newFleet(t *testing.T, wrap func(*registry.Registry) tenantplugin.Option) *fleet {
	t.Helper()
	control := newDatabase(t)
	reg, err := registry.Open(t.Context(), registry.Config{DSN: control, Logger: quiet})
	must(t, err)
	t.Cleanup(reg.Close)
	db, err := gorm.Open(postgres.Open(control), &gorm.Config{Logger: logger.Discard})
	must(t, err)
	// Few connections: statements wait for them when the shard changes.
	p := tenantplugin.New(wrap(reg), tenantplugin.WithLogger(quiet), tenantplugin.WithPoolLimits(6, 0, 0))
	must(t, db.Use(p))
	t.Cleanup(func() { must(t, p.Close()) })
	return &fleet{reg, db}
}

func newDatabase(t *testing.T) string {
	t.Helper()
	dsn, err := lab.cluster.NewDatabase(t.Context())
	must(t, err)
	return dsn
}

// create makes a tenant with one item that bears its name.
func (f *fleet) create(t *testing.T, id tenant.ID, shard string) context.Context {
	t.Helper()
	_, err := f.reg.Create(t.Context(), tenant.Spec{ID: id, Shard: shard})
	must(t, err)
	ctx := tenant.NewContext(t.Context(), id)
	must(t, f.db.WithContext(ctx).AutoMigrate(&Item{}))
	must(t, f.db.WithContext(ctx).Create(&Item{Name: string(id)}).Error)
	return ctx
}

// sharded makes a fleet with shard "stable" and four tenants on it.
func sharded(t *testing.T) (f *fleet, dsn string, tenants []context.Context) {
	t.Helper()
	f, dsn = newFleet(t, tenantplugin.WithRegistry), newDatabase(t)
	must(t, f.reg.AddShard(t.Context(), tenant.Shard{Name: "stable", Primary: dsn}))
	for i := range 4 {
		tenants = append(tenants, f.create(t, tenant.ID(fmt.Sprintf("stable-%d", i)), "stable"))
	}
	return f, dsn, tenants
}

// underLoad runs change while 32 goroutines read and write as the tenants, each
// for as long as change lasts, and wants no error of anybody.
func (f *fleet) underLoad(t *testing.T, tenants []context.Context, change func(busy func())) {
	t.Helper()
	var done atomic.Bool
	var statements atomic.Int64
	var wg sync.WaitGroup
	for i := range 32 {
		db := f.db.WithContext(tenants[i%len(tenants)])
		wg.Go(func() {
			for n := 0; !done.Load(); n++ {
				if err := f.use(db, n); err != nil {
					t.Error(err)
					return
				}
				statements.Add(1)
			}
		})
	}
	defer wg.Wait()
	defer done.Store(true)
	change(func() {
		want := statements.Load() + 100
		eventually(t, "statements", func() bool { return t.Failed() || statements.Load() >= want })
	})
}

func (f *fleet) use(db *gorm.DB, n int) error {
	switch n % 3 {
	case 0:
		return db.Create(&Item{Name: "load"}).Error
	case 1:
		return db.First(&Item{}).Error
	}
	return db.Transaction(func(tx *gorm.DB) error {
		return errors.Join(tx.First(&Item{}).Error, tx.Create(&Item{Name: "tx"}).Error)
	})
}

func TestShardsComeAndGo(t *testing.T) {
	t.Parallel()
	f, _, tenants := sharded(t)
	dsn := newDatabase(t)
	f.underLoad(t, tenants, func(busy func()) {
		for round := range 4 {
			must(t, f.reg.AddShard(t.Context(), tenant.Shard{Name: "guest", Primary: dsn}))
			id := tenant.ID(fmt.Sprintf("guest-%d", round))
			ctx := f.create(t, id, "guest")
			traced, route := resolver.Trace(ctx)
			var item Item
			must(t, f.db.WithContext(traced).First(&item).Error)
			if item.Name != string(id) || route.Shard != "guest" {
				t.Errorf("read %q on %+v", item.Name, route)
			}
			busy()
			must(t, f.reg.Delete(t.Context(), id))
			must(t, f.reg.RemoveShard(t.Context(), "guest"))
			eventually(t, "the tenant to be unknown", func() bool {
				return errors.Is(f.db.WithContext(ctx).First(&item).Error, tenant.ErrUnknown)
			})
			busy()
		}
	})
}

// A shard that gets another DSN, here of the same database, changes its
// connections under the statements that are on them or wait for them.
func TestShardChangesUnderLoad(t *testing.T) {
	t.Parallel()
	f, dsn, tenants := sharded(t)
	name := fmt.Sprintf("moved-%d", number.Add(1))
	watcher := node(t, primary())
	f.underLoad(t, tenants, func(busy func()) {
		for round := range 8 {
			next := fmt.Sprintf("%s-%d", name, round)
			must(t, f.reg.AddShard(t.Context(), tenant.Shard{Name: "stable", Primary: dsn + "&application_name=" + next}))
			eventually(t, "the new connections alone", func() bool {
				var fresh, old int
				must(t, watcher.QueryRow(t.Context(), `select count(*) filter (where application_name = $1),
					count(*) filter (where application_name like $2 and application_name <> $1)
					from pg_stat_activity`, next, name+"-%").Scan(&fresh, &old))
				return t.Failed() || fresh > 0 && old == 0
			})
			busy()
		}
	})
}

// A shard that moves to another database is followed there.
func TestShardsNewDatabaseIsFollowed(t *testing.T) {
	t.Parallel()
	f, dsn, tenants := sharded(t)
	id, err := tenant.FromContext(tenants[0])
	must(t, err)
	elsewhere := newDatabase(t)
	other, err := gorm.Open(postgres.Open(elsewhere), &gorm.Config{Logger: logger.Discard})
	must(t, err)
	schema := tenant.QuoteIdent(tenant.SchemaFor(id))
	must(t, other.Exec("create schema "+schema).Error)
	must(t, other.Exec("create table "+schema+".items as select 1::bigint id, 'elsewhere' as name").Error)
	handle, err := other.DB()
	must(t, err)
	must(t, handle.Close())
	read := func() string {
		var item Item
		must(t, f.db.WithContext(tenants[0]).Order("id").First(&item).Error)
		return item.Name
	}
	if got := read(); got != string(id) {
		t.Fatalf("read %q", got)
	}
	must(t, f.reg.AddShard(t.Context(), tenant.Shard{Name: "stable", Primary: elsewhere}))
	eventually(t, "the new database", func() bool { return read() == "elsewhere" })
	must(t, f.reg.AddShard(t.Context(), tenant.Shard{Name: "stable", Primary: dsn}))
	eventually(t, "the old database", func() bool { return read() == string(id) })
}

// astray places one tenant on a shard that nobody knows.
type astray struct{ *registry.Registry }

func (a astray) Lookup(ctx context.Context, id tenant.ID) (tenant.Tenant, error) {
	t, err := a.Registry.Lookup(ctx, id)
	if id == "stray" {
		t.Placement.Shard = "nowhere"
	}
	return t, err
}

func TestUnknownShard(t *testing.T) {
	t.Parallel()
	f := newFleet(t, func(r *registry.Registry) tenantplugin.Option { return tenantplugin.WithDirectory(astray{r}) })
	must(t, f.reg.AddShard(t.Context(), tenant.Shard{Name: "stable", Primary: newDatabase(t)}))
	good := f.create(t, "good", "stable")
	_, err := f.reg.Create(t.Context(), tenant.Spec{ID: "stray", Shard: "stable"})
	must(t, err)
	db := f.db.WithContext(tenant.NewContext(t.Context(), "stray"))
	for name, err := range map[string]error{
		"read": db.First(&Item{}).Error, "write": db.Create(&Item{}).Error, "raw": raw("select 1")(db),
		"begin": db.Begin().Error, "connection": db.Connection(exec("select 1")),
	} {
		if !errors.Is(err, tenant.ErrUnknownShard) || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, f.db.WithContext(good).First(&Item{}).Error)
}
