package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Create makes a tenant: its row, its schema on a shard, and what the
// provisioner puts there. It returns when the tenant serves. If anything fails
// or ctx ends, what was made is undone; if that fails too, the tenant remains
// in the state provisioning, and a later Create of the same ID (after
// Config.ProvisionTimeout) or Delete finishes the matter.
//
// With Config.SpareTenants it takes a spare tenant, unless there is none or
// spec.Schema names a schema: that is one round trip, and the schema keeps the name
// that it was made with.
//
// The shard is spec.Shard, or the one that consistent hashing of the ID
// proposes among those of spec.Region, else of SetRegion, else among all.
//
// The error wraps tenant.ErrInvalidID, tenant.ErrInvalidSchema, ErrInvalidTier,
// tenant.ErrExists, ErrSchemaExists, ErrNoShard, tenant.ErrUnknownShard,
// tenant.ErrUnavailable, or what the shard or the provisioner said.
func (r *Registry) Create(ctx context.Context, spec tenant.Spec) (tenant.Tenant, error) {
	t, err := r.create(ctx, spec)
	if err != nil {
		return tenant.Tenant{}, fmt.Errorf("create tenant %.64q: %w", spec.ID, err)
	}
	r.writers.tell(ctx, t)
	return t, nil
}

func (r *Registry) create(ctx context.Context, spec tenant.Spec) (tenant.Tenant, error) {
	want, err := r.plan(spec)
	if err != nil {
		return tenant.Tenant{}, err
	}
	if err := r.place(ctx, want, spec); err != nil {
		return tenant.Tenant{}, err
	}
	if spec.Schema == "" && r.spares() {
		rec, err := r.takeSpare(ctx, want)
		if err != nil {
			return tenant.Tenant{}, err
		}
		if rec != nil {
			r.forget(want.ID)
			return rec.Tenant, nil
		}
	}
	return r.perform(ctx, want, "", r.sql.activate)
}

// perform makes the tenant, whose mark begins with prefix, and ends with the
// statement that changes its state.
func (r *Registry) perform(ctx context.Context, want *record, prefix, end string) (tenant.Tenant, error) {
	return r.withRoles(ctx, func() (tenant.Tenant, error) {
		return (&creation{r: r, rec: want, prefix: prefix, end: end, version: r.recipe.Load().Version}).perform(ctx)
	})
}

func (c *creation) perform(ctx context.Context) (_ tenant.Tenant, err error) {
	c.lock, err = c.r.unlocked(ctx, c.rec.ID)
	if err != nil {
		return tenant.Tenant{}, err
	}
	defer c.unlock(ctx)
	defer c.r.forget(c.rec.ID)
	t, err := c.run(ctx)
	if err != nil {
		return c.undo(ctx, err)
	}
	return t, nil
}

// plan checks a spec and fills in its defaults.
func (r *Registry) plan(spec tenant.Spec) (*record, error) {
	if _, err := tenant.ParseID(string(spec.ID)); err != nil {
		return nil, err
	}
	if spec.Schema == "" {
		spec.Schema = tenant.SchemaFor(spec.ID)
	}
	if _, err := tenant.ParseSchema(spec.Schema); err != nil {
		return nil, err
	}
	if spec.Schema == r.cfg.Schema {
		return nil, fmt.Errorf("%w %q: it is the control plane's", tenant.ErrInvalidSchema, spec.Schema)
	}
	if spec.Tier == "" {
		spec.Tier = tenant.TierDefault
	}
	if err := checkTier(spec.Tier); err != nil {
		return nil, err
	}
	if err := spec.Attributes.Validate(); err != nil {
		return nil, err
	}
	return &record{Tenant: tenant.Tenant{ID: spec.ID, Schema: spec.Schema, Tier: spec.Tier, Attributes: spec.Attributes}}, nil
}

func checkTier(t tenant.Tier) error {
	if t == "" || !(Filter{Tier: t}).matchable() || len(t) > tenant.MaxIDLen {
		return fmt.Errorf("%w %.64q: want 1 to %d printable ASCII characters", ErrInvalidTier, t, tenant.MaxIDLen)
	}
	return nil
}

// creation is one Create under way.
type creation struct {
	r    *Registry
	lock *tenantLock // nil if it was lost and could not be taken again
	rec  *record
	// prefix begins the mark's random part, and end is the statement that ends
	// the creation.
	prefix, end string
	version     int64 // of what the provisioner makes
	// fill fills the schema instead of the script and the provisioner, if not nil.
	fill func(ctx context.Context, rec *record) error
	// begun is whether a row may exist, and made whether a schema may, that
	// this creation answers for.
	begun, made bool
}

func (c *creation) run(ctx context.Context) (tenant.Tenant, error) {
	if err := c.claim(ctx); err != nil {
		return tenant.Tenant{}, err
	}
	// The provisioner's statements look the tenant up.
	c.r.forget(c.rec.ID)
	made, filled, err := c.r.createSchema(ctx, c.rec, c.fill == nil)
	c.made = c.made || made
	if err != nil {
		return tenant.Tenant{}, err
	}
	if !filled {
		if err := c.provision(ctx); err != nil {
			return tenant.Tenant{}, err
		}
	}
	return c.activate(ctx)
}

// claim enters the row, or takes over one that a crash left behind.
func (c *creation) claim(ctx context.Context) error {
	t := &c.rec.Tenant
	c.rec.State, c.rec.origin, c.rec.attempt = tenant.StateProvisioning, c.prefix+rand.Text(), 1
	c.begun = true
	rec, err := c.r.insert(ctx, c.lock, c.rec, c.r.roles.Load())
	if err != nil || rec != nil {
		if rec != nil {
			c.rec = rec
		}
		c.begun = c.lock.held
		return err
	}
	c.begun = false
	rec, err = alter(ctx, c.lock, c.r.sql.takeOver, t.ID, c.r.cfg.ProvisionTimeout.Seconds())
	if err != nil {
		return failed(ctx, "take over its row", err)
	}
	if rec == nil {
		return c.refused(ctx)
	}
	// Where the first attempt placed it there may be a schema already.
	want := c.rec
	c.rec, c.begun, c.made = rec, true, true
	if c.fill != nil || strings.HasPrefix(rec.origin, copyOrigin) {
		return c.restart(ctx, want)
	}
	if rec.Role == "" && c.r.roles.Load() {
		return c.takeRole(ctx)
	}
	return nil
}

// restart undoes what a crash left behind, and enters a row of its own. What was being
// copied is another tenant's: no provisioner may go on with that, and no copy with what
// a provisioner began.
func (c *creation) restart(ctx context.Context, want *record) error {
	if err := c.remove(ctx); err != nil {
		return err
	}
	c.begun, c.made = true, false
	rec, err := c.r.insert(ctx, c.lock, want, c.r.roles.Load())
	c.rec = want
	if err == nil && rec == nil {
		c.begun, err = false, c.refused(ctx)
	}
	if err == nil {
		c.rec = rec
	}
	return err
}

// refused returns why no row could be entered.
func (c *creation) refused(ctx context.Context) error {
	t := &c.rec.Tenant
	if c.r.roles.Load() {
		var taken bool
		row := c.lock.QueryRow(ctx, c.r.sql.taken, t.ID, t.Schema, t.Placement.Shard)
		if err := row.Scan(&taken); err != nil {
			return failed(ctx, "look for its row", err)
		}
		if !taken {
			return &roleless{shard: t.Placement.Shard}
		}
	}
	return fmt.Errorf("its ID, or schema %s on shard %s: %w", tenant.QuoteIdent(t.Schema), t.Placement.Shard, tenant.ErrExists)
}

// takeRole gives a role to a tenant whose first attempt made it without.
func (c *creation) takeRole(ctx context.Context) error {
	rec, err := alter(ctx, c.lock, c.r.sql.giveRole, c.rec.ID)
	switch {
	case err != nil:
		return failed(ctx, "give it a role", err)
	case rec == nil:
		return &roleless{shard: c.rec.Placement.Shard}
	}
	c.rec = rec
	return nil
}

// insert enters a row, and takes the lock if it is not held. It returns nil if the ID or
// the schema is taken, or a role is wanted and none is free.
func (r *Registry) insert(ctx context.Context, l *tenantLock, rec *record, withRole bool) (*record, error) {
	sql := r.sql.insert
	if withRole {
		sql = r.sql.insertWithRole
	}
	args := []any{
		rec.ID, rec.Schema, rec.State, rec.Tier,
		rec.Placement.Shard, rec.Placement.Region, rec.origin, rec.Attributes.String(), r.recipeName(),
	}
	got, err := alterAmid(ctx, l, sql, args, l.taking(), nil)
	if !l.held && sqlState(err) == divisionByZero {
		return nil, fmt.Errorf("another process works on it: %w", tenant.ErrExists)
	}
	l.held = true // if it is not, giving it back finds out
	switch {
	case sqlState(err) == foreignKeyViolation:
		return nil, unknownShard(rec.Placement.Shard)
	case err != nil:
		return nil, failed(ctx, "enter its row", err)
	}
	if got != nil && withRole {
		r.tookRole()
	}
	return got, nil
}

func (c *creation) provision(ctx context.Context) error {
	if c.fill != nil {
		return c.fill(ctx, c.rec)
	}
	fn := c.r.provision.Load()
	if fn == nil {
		return nil
	}
	ctx = tenant.Admit(tenant.NewContext(ctx, c.rec.ID), tenant.StateProvisioning)
	if err := (*fn)(ctx, c.rec.Tenant); err != nil {
		return fmt.Errorf("provision its schema: %w", err)
	}
	return nil
}

func (c *creation) activate(ctx context.Context) (tenant.Tenant, error) {
	rec, err := c.lock.last(ctx, c.end, c.rec.ID, c.rec.origin, c.rec.attempt, c.version)
	switch {
	case err != nil:
		return tenant.Tenant{}, failed(ctx, "activate it", err)
	case rec == nil:
		return tenant.Tenant{}, fmt.Errorf("activate it: its row was changed meanwhile: %w", ErrState)
	}
	return rec.Tenant, nil
}

// undo removes what the creation made, if its row is still its own, and
// returns cause together with what went wrong on the way. A creation of which
// only the last answer was lost has succeeded.
func (c *creation) undo(ctx context.Context, cause error) (tenant.Tenant, error) {
	if !c.begun {
		return tenant.Tenant{}, cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	rec, err := c.standing(ctx)
	switch {
	case err == nil && rec == nil:
		return tenant.Tenant{}, cause
	case err == nil && rec.State != tenant.StateProvisioning:
		return rec.Tenant, nil
	case err == nil:
		err = c.remove(ctx)
	}
	if err != nil {
		err = fmt.Errorf("undo, so that the tenant may remain in state %s (create it again later, or delete it): %w",
			tenant.StateProvisioning, err)
	}
	return tenant.Tenant{}, errors.Join(cause, err)
}

// standing returns the row, or nil if it is not this creation's any more:
// another process took it over or deleted it, or it was never entered.
func (c *creation) standing(ctx context.Context) (*record, error) {
	if err := c.relock(ctx); err != nil {
		return nil, err
	}
	rec, err := one(c.lock.Query(ctx, c.r.sql.get, c.rec.ID))
	if err != nil {
		return nil, failed(ctx, "read its row", err)
	}
	if rec == nil || rec.origin != c.rec.origin || rec.attempt != c.rec.attempt {
		return nil, nil
	}
	return rec, nil
}

// relock takes the lock again if it went with its connection.
func (c *creation) relock(ctx context.Context) (err error) {
	if !c.lock.lost(ctx) {
		return nil
	}
	c.unlock(ctx) // first, or creations that wait for connections block each other
	c.lock, err = c.r.lock(ctx, c.rec.ID, true)
	return err
}

func (c *creation) unlock(ctx context.Context) {
	if c.lock != nil {
		c.lock.unlock(ctx)
	}
	c.lock = nil
}

func (c *creation) remove(ctx context.Context) error {
	if c.made {
		if err := c.r.dropSchema(ctx, c.rec); err != nil {
			return err
		}
	}
	if _, err := alter(ctx, c.lock, c.r.sql.remove, c.rec.ID, c.rec.origin, c.rec.attempt); err != nil {
		return failed(ctx, "remove its row", err)
	}
	return nil
}
