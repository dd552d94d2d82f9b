package routing

import (
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/resolver"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// strictly opens an application in strict mode on the lab's shard. Each has a registry
// of its own, as another process would: it hears nothing of what another one wrote.
func strictly(t *testing.T) (*gorm.DB, *registry.Registry) {
	t.Helper()
	reg, err := registry.Open(t.Context(), registry.Config{DSN: lab.cluster.Control.DSN, Schema: "strict", Logger: quiet})
	must(t, err)
	t.Cleanup(reg.Close)
	must(t, reg.AddShard(t.Context(), tenant.Shard{Name: "s1", Primary: primary().DSN, Replicas: []string{replica().DSN}}))
	db, err := gorm.Open(postgres.Open(primary().DSN), &gorm.Config{Logger: logger.Discard})
	must(t, err)
	p := tenantplugin.New(tenantplugin.WithRegistry(reg), tenantplugin.WithModels(&Item{}), tenantplugin.WithLogger(quiet), tenantplugin.WithRoles())
	must(t, db.Use(p))
	t.Cleanup(func() { must(t, p.Close()) })
	return db, reg
}

// A replica that has not replayed a tenant's role, or its login, is not read, and
// keeps serving those that it knows.
func TestReplicaWithoutRole(t *testing.T) {
	_, maker := strictly(t)
	reader, _ := strictly(t)
	route := func(id tenant.ID) resolver.Route {
		traced, route := resolver.Trace(tenant.NewContext(t.Context(), id))
		var user struct{ Role string }
		if err := reader.WithContext(traced).Raw("select current_user as role from items right join (values (1)) v on true").Scan(&user).Error; err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		if tn, err := maker.Get(t.Context(), id); err != nil || user.Role != tn.Role {
			t.Errorf("%s runs as %q, not %q, %v", id, user.Role, tn.Role, err)
		}
		return *route
	}
	create := func(id tenant.ID) {
		_, err := maker.Create(t.Context(), tenant.Spec{ID: id})
		must(t, err)
	}
	// Of a shard that another tenant has opened, whose replica is up.
	resume := heldBack(t)
	create("strict-1") // its login is new
	if r := route("strict-1"); r.Replica {
		t.Errorf("read on %+v", r)
	}
	resume()
	eventually(t, "the replica to serve", func() bool { return route("strict-1").Replica })
	resume = heldBack(t)
	create("strict-2")
	tn, err := maker.Get(t.Context(), "strict-2")
	must(t, err)
	// As if its batch had been made just now.
	_, err = node(t, primary()).Exec(t.Context(), "alter role "+tn.Role+" rename to "+tn.Role+"_young")
	must(t, err)
	resume()
	eventually(t, "the replica to know", func() bool {
		var n int
		must(t, node(t, replica()).QueryRow(t.Context(), "select count(*) from pg_roles where rolname = $1", tn.Role+"_young").Scan(&n))
		return n == 1
	})
	resume = heldBack(t)
	_, err = node(t, primary()).Exec(t.Context(), "alter role "+tn.Role+"_young rename to "+tn.Role)
	must(t, err)
	eventually(t, "the replica to serve another", func() bool { return route("strict-1").Replica })
	if r := route("strict-2"); r.Replica {
		t.Errorf("read on %+v", r)
	}
	if r := route("strict-1"); !r.Replica {
		t.Errorf("another tenant read on %+v", r)
	}
	resume()
	eventually(t, "the replica to serve it", func() bool { return route("strict-2").Replica })
}
