package readme

import (
	"context"
	"fmt"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func Example_tenants() {
	ctx := context.Background()
	reg, err := registry.Open(ctx, registry.Config{DSN: newDSN(), HomeShard: "home"})
	check(err)
	defer reg.Close()
	_, err = reg.Create(ctx, tenant.Spec{ID: "acme"})
	check(err)

	err = reg.AddName(ctx, "acme", registry.Host("orders.acme.example"), registry.Alias("C-0017"))
	check(err)
	t, err := reg.LookupName(ctx, registry.Host("orders.acme.example")) // from memory, like Lookup
	check(err)
	check(reg.SetAttributes(ctx, t.ID, `{"plan": "gold"}`))
	gold, err := reg.List(ctx, registry.Filter{Attributes: `{"plan": "gold"}`})
	check(err)
	_, err = reg.Rename(registry.WithActor(ctx, "alice"), "acme", "acme-inc") // "acme" stays its own
	check(err)
	events, err := reg.Events(ctx, registry.EventFilter{Tenant: "acme-inc"}) // who changed what, and when
	check(err)

	fmt.Println(len(gold), events[0].Actor, string(events[0].Before), string(events[0].After))
	// Output:
	// 1 alice {"id": "acme"} {"id": "acme-inc"}
}
