package roundtrips

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
	"github.com/gormtenancy/gormtenancy/tests/wirecount"
)

// A tenant that was made ahead is created in one round trip. What the registry
// does meanwhile to make the next one is on the wire too, so that it is the time
// that tells, at a round trip of 100 ms.
func TestCreateFromASpare(t *testing.T) {
	t.Parallel()
	const latency = 100 * time.Millisecond
	dsn := pgtest.Any(t).Database(t)
	open := func(dsn string) *registry.Registry {
		reg, err := registry.Open(t.Context(), registry.Config{
			DSN: dsn, HomeShard: "home", SpareTenants: 8, Recipe: registry.Recipe{Name: "none"},
			Provision: func(context.Context, tenant.Tenant) error { return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(reg.Close)
		return reg
	}
	near := open(dsn)
	proxy, farDSN, err := wirecount.Through(t.Context(), dsn, wirecount.Options{Latency: latency})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	far := open(farDSN)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		spares, err := near.List(t.Context(), registry.Filter{State: tenant.StateSpare})
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%d spares: %v", len(spares), err)
		}
		if len(spares) == 8 {
			break
		}
	}
	best := time.Hour
	for i := range 6 {
		start := time.Now()
		if _, err := far.Create(t.Context(), tenant.Spec{ID: tenant.ID(fmt.Sprint("t", i))}); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(start))
	}
	t.Logf("Create took %.2f round trips", float64(best)/float64(latency))
	if best >= 2*latency {
		t.Errorf("Create took %s, %.1f round trips of %s", best, float64(best)/float64(latency), latency)
	}
}
