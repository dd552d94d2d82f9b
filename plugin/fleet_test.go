package tenantplugin_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// newFleet is an application with n tenants t00, t01, ... on two shards, of which
// each has a user of its name.
func newFleet(t *testing.T, n int) (*gorm.DB, *registry.Registry) {
	t.Helper()
	s := pgtest.Any(t)
	db, err := gorm.Open(postgres.Open(s.Database(t)), &gorm.Config{Logger: logger.Discard})
	ok(t, err)
	p := tenantplugin.New(tenantplugin.WithModels(&User{}, &Pet{}))
	ok(t, db.Use(p))
	t.Cleanup(func() { ok(t, p.Close()) })
	reg := p.Registry()
	ok(t, reg.AddShard(t.Context(), tenant.Shard{Name: "other", Primary: s.Database(t)}))
	shards := []string{"default", "other"}
	for i := range n {
		id := tenant.ID(fmt.Sprintf("t%02d", i))
		_, err := reg.Create(t.Context(), tenant.Spec{ID: id, Shard: shards[i%2]})
		ok(t, err)
		ok(t, db.WithContext(tenant.NewContext(t.Context(), id)).Create(&User{Name: string(id)}).Error)
	}
	return db, reg
}

func TestForEach(t *testing.T) {
	t.Parallel()
	db, reg := newFleet(t, 9)
	ok(t, reg.Suspend(t.Context(), "t08"))
	visit := func(f registry.Filter, opts ...tenantplugin.FleetOption) (seen []string, err error) {
		var mu sync.Mutex
		err = tenantplugin.ForEach(t.Context(), db, f, func(db *gorm.DB, tn tenant.Tenant) error {
			name, err := first(db)
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, name)
			if err == nil && name != string(tn.ID) {
				t.Errorf("%s saw %s", tn.ID, name)
			}
			return err
		}, opts...)
		slices.Sort(seen)
		return seen, err
	}
	for want, f := range map[string]registry.Filter{
		"t00 t01 t02 t03 t04 t05 t06 t07": {},
		"t01 t03 t05 t07":                 {Shard: "other"},
		"t00 t01 t02":                     {Limit: 3},
		"t06 t07":                         {After: "t05"},
		"t08":                             {State: tenant.StateSuspended},
		"":                                {Prefix: "x"},
	} {
		seen, err := visit(f)
		if got := strings.Join(seen, " "); err != nil || got != want {
			t.Errorf("%+v: %s, %v, want %s", f, got, err, want)
		}
	}
	if _, err := visit(registry.Filter{}, tenantplugin.PerShard(0)); err == nil {
		t.Error("PerShard(0) was taken")
	}
}

// A tenant that fails does not keep the others from running.
func TestForEachTellsWhoFailed(t *testing.T) {
	t.Parallel()
	db, _ := newFleet(t, 6)
	broken := errors.New("broken")
	odd := func(_ *gorm.DB, tn tenant.Tenant) error {
		if tn.Placement.Shard == "other" {
			return broken
		}
		return nil
	}
	err := tenantplugin.ForEach(t.Context(), db, registry.Filter{}, odd)
	var fe *tenantplugin.FleetError
	if !errors.As(err, &fe) || fe.Done != 3 || len(fe.Failed) != 3 || fe.Failed["t01"] != broken || fe.Cause != nil || !errors.Is(err, broken) {
		t.Errorf("%+v, %v", fe, err)
	}
	err = tenantplugin.ForEach(t.Context(), db, registry.Filter{Shard: "other"}, odd, tenantplugin.MaxFailures(1), tenantplugin.PerShard(1))
	if !errors.As(err, &fe) || len(fe.Failed) != 2 || !errors.Is(err, tenantplugin.ErrTooManyFailures) {
		t.Errorf("with a budget of one: %+v, %v", fe, err)
	}
	err = tenantplugin.ForEach(t.Context(), db, registry.Filter{Limit: 1}, func(db *gorm.DB, _ tenant.Tenant) error {
		return db.Exec("select pg_sleep(60)").Error
	}, tenantplugin.PerTenant(20*time.Millisecond))
	if !errors.As(err, &fe) || len(fe.Failed) != 1 || fe.Cause != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a tenant that takes too long: %+v, %v", fe, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = tenantplugin.ForEach(ctx, db, registry.Filter{}, func(*gorm.DB, tenant.Tenant) error { cancel(); return nil }, tenantplugin.PerShard(1))
	if !errors.As(err, &fe) || fe.Done == 0 || fe.Done == 6 || !errors.Is(fe.Cause, context.Canceled) {
		t.Errorf("a context that ends: %+v, %v", fe, err)
	}
}

func TestForEachBoundsEachShard(t *testing.T) {
	t.Parallel()
	db, _ := newFleet(t, 12)
	var now [2]atomic.Int32
	var most atomic.Int32
	err := tenantplugin.ForEach(t.Context(), db, registry.Filter{}, func(db *gorm.DB, tn tenant.Tenant) error {
		at := &now[strings.Count(tn.Placement.Shard, "other")]
		defer at.Add(-1)
		for n, m := at.Add(1), most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return db.Exec("select pg_sleep(0.02)").Error
	}, tenantplugin.PerShard(2))
	ok(t, err)
	if most.Load() != 2 {
		t.Errorf("%d tenants of a shard at the same time, want 2", most.Load())
	}
}

func TestGather(t *testing.T) {
	t.Parallel()
	db, _ := newFleet(t, 6)
	all := func(db *gorm.DB) *gorm.DB { return db.Order("id") }
	var got []string
	for row, err := range tenantplugin.Gather[User](t.Context(), db, registry.Filter{}, all) {
		ok(t, err)
		got = append(got, string(row.Tenant)+"="+row.Row.Name)
	}
	slices.Sort(got)
	if text := strings.Join(got, " "); text != "t00=t00 t01=t01 t02=t02 t03=t03 t04=t04 t05=t05" {
		t.Error(text)
	}
	for row, err := range tenantplugin.Gather[User](t.Context(), db, registry.Filter{}, all) {
		ok(t, err)
		if row.Tenant == "" {
			t.Error("a row without a tenant")
		}
		break // the others are not waited for
	}
	ok(t, db.WithContext(tenant.NewContext(t.Context(), "t03")).Migrator().DropTable(&User{}, &Pet{}))
	rows, failed, last := 0, []tenant.ID{}, error(nil)
	for row, err := range tenantplugin.Gather[User](t.Context(), db, registry.Filter{}, all) {
		switch {
		case err == nil:
			rows++
		case row.Tenant != "":
			failed = append(failed, row.Tenant)
		default:
			last = err
		}
	}
	var fe *tenantplugin.FleetError
	if rows != 5 || len(failed) != 1 || failed[0] != "t03" || !errors.As(last, &fe) || fe.Done != 5 {
		t.Errorf("%d rows, failed %v, %v", rows, failed, last)
	}
}

func TestForEachNeedsARegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pgtest.Any(t))
	nothing := func(*gorm.DB, tenant.Tenant) error { return nil }
	for _, db := range []*gorm.DB{w.db, openPlain(t, w.dsn[0])} {
		if err := tenantplugin.ForEach(t.Context(), db, registry.Filter{}, nothing); err == nil || !strings.HasPrefix(err.Error(), "tenantplugin: ") {
			t.Error(err)
		}
	}
}
