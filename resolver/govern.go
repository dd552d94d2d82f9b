package resolver

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
	"github.com/gormtenancy/gormtenancy/internal/sqltext"
	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Governor knows the tenants' limits and what they have used of them. A
// *quota.Governor is one. It is asked for every statement, so it must answer from
// memory; what it returns for a tenant's ID and tier holds for one statement.
type Governor interface {
	// Limits returns what holds for a tenant.
	Limits(t *tenant.Tenant) *quota.Effective
	// Statement returns an error if the tenant has had its statements for now.
	Statement(ctx context.Context, t *tenant.Tenant) error
	// Spend notes what a statement took.
	Spend(t *tenant.Tenant, took time.Duration)
	// Acquire waits for a place among those that the tenant may use at the same time.
	Acquire(ctx context.Context, t *tenant.Tenant) (quota.Slot, error)
}

// governed is what a virtual connection knows of the limits of whom it serves.
type governed struct {
	tenant tenant.Tenant // for whom the last statement ran; none if it has no ID
	limits *quota.Effective
	slot   quota.Slot // of the connection that is held
	taker  tenant.ID  // whose
}

// refused returns the error of what tenants' limits do not allow.
func refused(id tenant.ID, limit string, value float64, after time.Duration) error {
	return &quota.LimitError{Tenant: id, Limit: limit, Value: value, RetryAfter: after}
}

// govern finds the limits of whom the connection serves now. Nobody but tenants has some.
func (c *conn) govern() {
	c.limits = nil
	if g := c.r.cfg.Governor; g != nil && c.tenant.ID != "" {
		c.limits = g.Limits(&c.tenant)
	}
}

// admit returns an error if a statement may not run by its tenant's limits.
func (c *conn) admit(ctx context.Context, text string) error {
	if c.limits == nil {
		return nil
	}
	if c.limits.Full && sqltext.Of(text).Grows() {
		return refused(c.tenant.ID, quota.LimitStorage, float64(c.limits.StorageBytes), 0)
	}
	return c.r.cfg.Governor.Statement(ctx, &c.tenant)
}

// enter takes a place for the connection that is about to be held, unless it holds one
// for the same tenant. On a sql.Conn, one tenant's statement may follow another's.
func (c *conn) enter(ctx context.Context) error {
	if c.taker != "" && c.taker == c.tenant.ID {
		return nil
	}
	c.leave()
	if c.limits == nil {
		return nil
	}
	slot, err := c.r.cfg.Governor.Acquire(ctx, &c.tenant)
	if err == nil {
		c.slot, c.taker = slot, c.tenant.ID
	}
	return err
}

// spending notes what is done until its result is called.
func (c *conn) spending() func() {
	if c.limits == nil || c.limits.DatabaseShare == 0 {
		return func() {}
	}
	start := time.Now()
	return func() { c.r.cfg.Governor.Spend(&c.tenant, time.Since(start)) }
}

// leave gives the place back.
func (c *conn) leave() {
	c.slot.Leave()
	c.slot, c.taker = quota.Slot{}, ""
}

// claim says what the connection that is about to be held is for.
func (c *conn) claim(owner string) pool.Claim {
	claim := pool.Claim{Owner: owner}
	if c.limits != nil {
		claim.Conns, claim.Lane = c.limits.Connections, c.limits.Quarantined
	}
	return claim
}

// offPrimary returns an error if a read may not run on the primary.
func (c *conn) offPrimary(w *where, read bool) error {
	if !read || c.limits == nil || !c.limits.ReadReplicasOnly || len(w.shard.replicas) == 0 {
		return nil
	}
	return refused(c.tenant.ID, quota.LimitReplicas, 1, downFor)
}

// bound lets no more rows through than the tenant's limits allow.
func (c *conn) bound(rows driver.Rows, err error) (driver.Rows, error) {
	if err != nil || c.limits == nil || c.limits.RowsPerResult == 0 {
		return rows, err
	}
	most := c.limits.RowsPerResult
	return &boundedRows{rows, most, refused(c.tenant.ID, quota.LimitRows, float64(most), 0)}, nil
}

// timeouts returns those of a tenant's limits, in milliseconds.
func (r *Router) timeouts(t *tenant.Tenant) (statement, idle int32) {
	if r.cfg.Governor == nil {
		return 0, 0
	}
	asked := *t // or every statement's tenant would be allocated
	e := r.cfg.Governor.Limits(&asked)
	return milliseconds(e.StatementTimeout), milliseconds(e.IdleInTransactionTimeout)
}

// milliseconds rounds up: zero would be no timeout. What is too long for PostgreSQL is
// refused by quota.Limits.Validate.
func milliseconds(d quota.Duration) int32 {
	return int32((time.Duration(d) + time.Millisecond - 1) / time.Millisecond)
}
