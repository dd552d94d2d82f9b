package roundtrips

import (
	"context"
	"testing"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
	"github.com/gormtenancy/gormtenancy/tests/wirecount"
)

// Strict mode costs no round trip: the role is in the path's own statement.
func TestStrictRoundTrips(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		direct := s.Database(t)
		proxy, dsn, err := wirecount.Through(t.Context(), direct, wirecount.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(proxy.Close)
		db := strictly(t, direct, dsn)
		for _, o := range operations {
			if n := count(t, proxy, db, o.run); n != o.ours {
				t.Errorf("%s: %d round trips, want %d", o.name, n, o.ours)
			}
		}
	})
}

// strictly opens dsn with the plugin in strict mode, its control plane elsewhere, and
// returns it in the context of a new tenant.
func strictly(t *testing.T, direct, dsn string) *gorm.DB {
	t.Helper()
	reg, err := registry.Open(t.Context(), registry.Config{DSN: direct, Roles: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reg.Close)
	if err := reg.AddShard(t.Context(), tenant.Shard{Name: "far", Primary: dsn}); err != nil {
		t.Fatal(err)
	}
	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	p := tenantplugin.New(tenantplugin.WithRegistry(reg), tenantplugin.WithRoles(), tenantplugin.WithModels(&order{}, &line{}))
	if err := db.Use(p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := reg.Create(t.Context(), tenant.Spec{ID: "acme"}); err != nil {
		t.Fatal(err)
	}
	restedRoles(t, direct)
	db = db.WithContext(tenant.NewContext(context.WithoutCancel(t.Context()), "acme"))
	if err := db.Create(&order{Note: "one", Lines: []line{{Note: "a"}}}).Error; err != nil {
		t.Fatal(err)
	}
	return db
}

// restedRoles waits until no more roles are made: that is on the wire too.
func restedRoles(t *testing.T, direct string) {
	t.Helper()
	db := open(t, direct)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var free, making int
		err := db.Raw("select count(*) filter (where state = 'free'), count(*) filter (where state = 'making') from tenancy.roles").Row().Scan(&free, &making)
		if err == nil && free > 0 && making == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d free roles, %d in the making, %v", free, making, err)
		}
	}
}
