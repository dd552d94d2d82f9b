package quota_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// fixed is a policy that never changes. Applications use a *registry.Registry.
type fixed quota.Policy

func (f fixed) Policy(context.Context) (quota.Policy, error) { return quota.Policy(f), nil }
func (f fixed) OnPolicyChange(func()) (cancel func())        { return func() {} }

func ExampleGovernor() {
	ctx := context.Background()
	g, err := quota.New(quota.Config{Source: fixed{
		Tiers:   map[tenant.Tier]quota.Limits{"free": {StatementsPerSecond: 0.01, Concurrency: 1}},
		Tenants: map[tenant.ID]json.RawMessage{"globex": json.RawMessage(`{"statements_per_second": null, "concurrency": 5}`)},
	}})
	if err != nil {
		panic(err)
	}
	if err := g.Start(ctx); err != nil {
		panic(err)
	}
	defer g.Stop()

	acme, globex := &tenant.Tenant{ID: "acme", Tier: "free"}, &tenant.Tenant{ID: "globex", Tier: "free"}
	fmt.Println(g.Statement(ctx, acme))
	fmt.Println(errors.Is(g.Statement(ctx, acme), tenant.ErrLimited))
	fmt.Println(g.Limits(globex).StatementsPerSecond, g.Limits(globex).Concurrency)

	leave, err := g.Enter(ctx, acme)
	fmt.Println(err)
	_, err = g.Enter(ctx, acme)
	fmt.Println(err)
	leave()
	// Output:
	// <nil>
	// true
	// 0 5
	// <nil>
	// tenant acme is over its limit of concurrency = 1: try again in 1s, or raise the limit
}
