package main

import (
	"context"
	"time"

	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// standard are the limits of everybody: far more than an ordinary tenant of the bench
// takes, which asks for half a statement a second.
var standard = quota.Limits{
	StatementsPerSecond: 20, Concurrency: 1, Queue: 10, QueueTimeout: quota.Duration(2 * time.Second), DatabaseShare: 0.05,
	Connections: 2, StatementTimeout: quota.Duration(2 * time.Second),
}

// fixed is a quota.Source that never changes.
type fixed quota.Policy

// Policy implements quota.Source.
func (f fixed) Policy(context.Context) (quota.Policy, error) { return quota.Policy(f), nil }

// OnPolicyChange implements quota.Source.
func (fixed) OnPolicyChange(func()) (cancel func()) { return func() {} }

// limit makes the governor.
func (l *lab) limit(ctx context.Context) (err error) {
	l.governor, err = quota.New(quota.Config{Source: fixed{Tiers: map[tenant.Tier]quota.Limits{quota.TierAny: standard}}})
	if err != nil {
		return err
	}
	return l.governor.Start(ctx)
}
