package demo

import (
	"context"
	"time"

	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Limited is the one of Tenants that is in the small tier.
const Limited tenant.ID = "initech"

const free tenant.Tier = "free"

// limits leave the visitor room, but for those of the small tier.
var limits = map[tenant.Tier]quota.Limits{
	quota.TierAny: {
		RequestsPerSecond: 500, StatementsPerSecond: 5000, Concurrency: 20, Queue: 100,
		RowsPerResult: 10_000, StatementTimeout: quota.Duration(5 * time.Second), IdleInTransactionTimeout: quota.Duration(10 * time.Second),
	},
	free: {
		RequestsPerSecond: 5, StatementsPerSecond: 100, Concurrency: 4, Queue: 20,
		RowsPerResult: 1000, StatementTimeout: quota.Duration(2 * time.Second), IdleInTransactionTimeout: quota.Duration(5 * time.Second),
	},
}

// setLimits leaves what a kept control plane has of them: the operator may have
// changed it.
func setLimits(ctx context.Context, reg *registry.Registry) error {
	now, err := reg.Policy(ctx)
	if err != nil || len(now.Tiers) > 0 {
		return err
	}
	for tier, l := range limits {
		if err := reg.SetTierLimits(ctx, tier, l); err != nil {
			return err
		}
	}
	return nil
}
