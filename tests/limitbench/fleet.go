package main

import (
	"context"
	"fmt"
	"math"

	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// fleet is the policy, the same in all processes.
type fleet struct {
	tenants []*tenant.Tenant
	rates   []float64
	policy  quota.Policy
}

const (
	// slowest and fastest are limits, in statements a second; most are slow.
	slowest, fastest = 1.5, 10
	// quietLoad is that on the quiet tenants.
	quietLoad  = 0.2
	quietEvery = 10
)

func quiet(i int) bool { return i%quietEvery == 0 }

func newFleet(n int) *fleet {
	f := &fleet{policy: quota.Policy{Tiers: map[tenant.Tier]quota.Limits{}}}
	for i := range n {
		x := &tenant.Tenant{ID: tenant.ID(fmt.Sprint("t", i)), Tier: tenant.Tier(fmt.Sprint("tier", i))}
		rate := slowest * math.Pow(fastest/slowest, float64(i*37%n)/float64(n))
		limits := quota.Limits{StatementsPerSecond: rate, StatementBurst: 10}
		if quiet(i) {
			limits.StatementBurst = 60
		}
		f.tenants, f.rates = append(f.tenants, x), append(f.rates, rate)
		f.policy.Tiers[x.Tier] = limits
	}
	return f
}

// Policy makes the fleet a quota.Source.
func (f *fleet) Policy(context.Context) (quota.Policy, error) { return f.policy, nil }

// OnPolicyChange has nothing to tell.
func (f *fleet) OnPolicyChange(func()) (cancel func()) { return func() {} }

// shares are how the load on a tenant falls on three processes: evenly, or on
// one of them mostly.
var shares = [][]float64{{1, 1, 1}, {90, 8, 2}, {1, 60, 39}}

// load returns how many statements a second a process sends of a tenant.
func (f *fleet) load(i, process, processes int, times float64) float64 {
	if quiet(i) { // all of it on one process, which has the smallest part alone
		if i/quietEvery%processes != process {
			return 0
		}
		return f.rates[i] * quietLoad
	}
	share, sum := shares[i%len(shares)], 0.0
	for p := range processes {
		sum += share[p%len(share)]
	}
	return f.rates[i] * times * share[process%len(share)] / sum
}
