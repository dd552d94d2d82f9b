package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Roles are made ahead, roleBatch at a time: each CREATE ROLE makes every session of
// the server look its memberships up anew, and that grows with the square of a login's
// memberships. So a login has at most bucketSize of them.
const (
	roleBatch  = 50
	rolesAhead = 25
	bucketSize = 1000
	// rolePoke is how many roles are taken between two looks at how many are left.
	rolePoke = 10
	// roleCheck is how often they are counted even if nobody took one.
	roleCheck = 10 * time.Second
	// roleRest is how long a role is at least not used again. A process that still
	// takes its former tenant to be there must have forgotten.
	roleRest = time.Hour
)

// maxRoleTries bounds how often one creation makes roles that others take.
const maxRoleTries = 20

// SetRoles makes Create, Adopt and the spares give each tenant a database role, which
// strict mode (tenantplugin.WithRoles) runs its statements under. The shards' users
// must be allowed to make roles (CREATEROLE). Tenants of before get one by EnsureRole.
func (r *Registry) SetRoles(on bool) {
	r.roles.Store(on)
	r.wantRoles()
	r.wantSpares()
}

// wantRoles makes keepRoles look at once.
func (r *Registry) wantRoles() {
	select {
	case r.rolesWanted <- struct{}{}:
	default:
	}
}

// tookRole makes keepRoles look now and then.
func (r *Registry) tookRole() {
	if r.rolesTaken.Add(1)%rolePoke == 0 {
		r.wantRoles()
	}
}

// keepRoles keeps some roles free on each shard until ctx ends.
func (r *Registry) keepRoles(ctx context.Context) {
	tick := time.NewTicker(jittered(roleCheck))
	defer tick.Stop()
	for {
		if r.roles.Load() {
			if err := r.fillRoles(ctx); err != nil && ctx.Err() == nil {
				r.log.WarnContext(ctx, "tenant registry could not keep its database roles", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.rolesWanted:
		}
	}
}

func (r *Registry) fillRoles(ctx context.Context) error {
	shards, err := r.Shards(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range shards {
		errs = append(errs, r.reuseRoles(ctx, s.Name), r.makeRoles(ctx, s.Name, rolesAhead))
	}
	return errors.Join(errs...)
}

// rolesLock names the lock under which a shard's roles are made. No tenant's ID has a
// dot.
func rolesLock(shard string) tenant.ID { return tenant.ID("roles." + shard) }

// makeRoles makes a batch of roles on a shard, if fewer than atLeast are free. Who
// holds a tenant's lock must not call it.
func (r *Registry) makeRoles(ctx context.Context, shard string, atLeast int) error {
	n, err := r.freeRoles(ctx, r.questions, shard)
	if err != nil || n >= atLeast {
		return err
	}
	l, err := r.lock(ctx, rolesLock(shard), true)
	if err != nil {
		return err
	}
	defer l.unlock(ctx)
	if n, err = r.freeRoles(ctx, l, shard); err != nil || n >= atLeast {
		return err
	}
	b, err := r.planRoles(ctx, l, shard)
	if err != nil {
		return failed(ctx, "plan database roles", err)
	}
	if err := r.putRoles(ctx, b); err != nil {
		return fmt.Errorf("make database roles (its user needs CREATEROLE): %w", err)
	}
	if _, err := l.Exec(ctx, r.sql.madeRoles, shard, b.roles); err != nil {
		return failed(ctx, "enter database roles", err)
	}
	return nil
}

func (r *Registry) freeRoles(ctx context.Context, on asker, shard string) (n int, err error) {
	if err := on.QueryRow(ctx, r.sql.freeRoles, shard).Scan(&n); err != nil {
		return 0, failed(ctx, "count the free database roles", err)
	}
	return n, nil
}

// asker is a pool of the control database's connections, or one of them.
type asker interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// batch are roles of one login.
type batch struct {
	shard, login string
	password     tenant.Secret
	roles        []string
}

// planRoles enters a batch of roles that are to be made, or returns one that was
// entered before and may not have been.
func (r *Registry) planRoles(ctx context.Context, l *tenantLock, shard string) (b batch, err error) {
	b.shard = shard
	rows, err := l.Query(ctx, r.sql.unmadeRoles, shard)
	if err != nil {
		return b, err
	}
	if _, err = pgx.ForEachRow(rows, []any{&b.login, &b.password, &b.roles}, func() error { return nil }); err != nil || len(b.roles) > 0 {
		return b, err
	}
	for range roleBatch {
		b.roles = append(b.roles, newRole())
	}
	return b, pgx.BeginFunc(ctx, l, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, r.sql.openLogin, shard, bucketSize-roleBatch).Scan(&b.login, &b.password)
		if errors.Is(err, pgx.ErrNoRows) {
			b.login, b.password = newRole(), newPassword()
			_, err = tx.Exec(ctx, r.sql.addLogin, b.login, shard, b.password.Reveal())
		}
		if err == nil {
			_, err = tx.Exec(ctx, r.sql.addRoles, b.roles, shard, b.login)
		}
		return err
	})
}

// reuseRoles frees the roles of tenants that are gone for long, if they hold nothing.
func (r *Registry) reuseRoles(ctx context.Context, shard string) error {
	rows, err := r.questions.Query(ctx, r.sql.releasedRoles, shard, max(roleRest, 2*(r.cfg.TTL+r.cfg.StaleFor)).Seconds(), roleBatch)
	if err != nil {
		return failed(ctx, "list the released database roles", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return failed(ctx, "list the released database roles", err)
	}
	if len(names) == 0 {
		return nil
	}
	clean, err := r.cleanRoles(ctx, shard, names)
	if err != nil {
		return err
	}
	if n := len(names) - len(clean); n > 0 {
		r.log.WarnContext(ctx, "database roles of former tenants hold something still, or are gone, and are not used again: drop them by hand", "shard", shard, "roles", n)
	}
	if _, err := r.questions.Exec(ctx, r.sql.judgeRoles, names, clean); err != nil {
		return failed(ctx, "free database roles", err)
	}
	return nil
}

// EnsureRole gives an active or suspended tenant a database role if it has none, and
// grants it all that is in the tenant's schema, also again: it mends grants that were
// lost, and makes roles that a restored server lacks. The error wraps
// tenant.ErrInvalidID, tenant.ErrUnknown, ErrState or tenant.ErrUnavailable, or is the
// shard's.
func (r *Registry) EnsureRole(ctx context.Context, id tenant.ID) (tenant.Tenant, error) {
	if _, err := tenant.ParseID(string(id)); err != nil {
		return tenant.Tenant{}, err
	}
	t, err := r.withRoles(ctx, func() (tenant.Tenant, error) { return r.ensureRole(ctx, id) })
	if err != nil {
		return tenant.Tenant{}, fmt.Errorf("give tenant %s a database role: %w", id, err)
	}
	return t, nil
}

// withRoles does what needs a free role, after making some if there was none.
func (r *Registry) withRoles(ctx context.Context, do func() (tenant.Tenant, error)) (tenant.Tenant, error) {
	for tries := 1; ; tries++ {
		t, err := do()
		var none *roleless
		switch {
		case !errors.As(err, &none) || tries == maxRoleTries:
			return t, err
		case none.spoiled != "":
			if _, err := r.questions.Exec(ctx, r.sql.spoilRole, none.spoiled); err != nil {
				return t, failed(ctx, "put a database role aside", err)
			}
		default:
			if err := r.makeRoles(ctx, none.shard, 1); err != nil {
				return t, err
			}
		}
	}
}

// roleless is the want of a role on a shard: there is none, or the one that was taken
// is spoiled.
type roleless struct{ shard, spoiled string }

// Error says so.
func (e *roleless) Error() string {
	if e.spoiled != "" {
		return "the database role " + e.spoiled + " holds something already"
	}
	return "no free database role on shard " + e.shard
}

func (r *Registry) ensureRole(ctx context.Context, id tenant.ID) (tenant.Tenant, error) {
	l, err := r.lock(ctx, id, true)
	if err != nil {
		return tenant.Tenant{}, err
	}
	defer l.unlock(ctx)
	rec, err := one(l.Query(ctx, r.sql.get, id))
	switch {
	case err != nil:
		return tenant.Tenant{}, failed(ctx, "read its row", err)
	case rec == nil:
		return tenant.Tenant{}, tenant.ErrUnknown
	case rec.State != tenant.StateActive && rec.State != tenant.StateSuspended:
		return tenant.Tenant{}, fmt.Errorf("it is %s, only an active or suspended tenant can have one: %w", rec.State, ErrState)
	}
	defer r.forget(id)
	if err := r.giveRole(ctx, l, rec); err != nil {
		return tenant.Tenant{}, err
	}
	return rec.Tenant, nil
}

// giveRole makes rec have a role with the grants that it needs. The row shows it once
// it has them.
func (r *Registry) giveRole(ctx context.Context, l *tenantLock, rec *record) error {
	if rec.Role != "" {
		return r.mendRole(ctx, l, rec)
	}
	var fault error // not the control plane's
	err := alterTx(ctx, l, func(tx pgx.Tx) error {
		got, err := one(tx.Query(ctx, r.sql.giveRole, rec.ID))
		if err != nil {
			return err
		}
		if got == nil {
			fault = &roleless{shard: rec.Placement.Shard}
			return fault
		}
		fault = r.onShard(ctx, got.Placement.Shard, func(conn *pgx.Conn) error {
			if clean, err := cleanOn(ctx, conn, []string{got.Role}); err != nil || len(clean) == 0 {
				return errors.Join(err, &roleless{shard: got.Placement.Shard, spoiled: got.Role})
			}
			return grantRole(ctx, conn, got.Schema, got.Role)
		})
		if fault == nil {
			*rec = *got
		}
		return fault
	})
	switch {
	case fault != nil:
		return fault
	case err != nil:
		return failed(ctx, "give it a role", err)
	}
	r.tookRole()
	return nil
}

// mendRole grants a tenant's role again what it needs.
func (r *Registry) mendRole(ctx context.Context, l *tenantLock, rec *record) error {
	b := batch{shard: rec.Placement.Shard, login: rec.Login, roles: []string{rec.Role}}
	if err := l.QueryRow(ctx, r.sql.password, b.shard, b.login).Scan(&b.password); err != nil {
		return failed(ctx, "read its login", err)
	}
	if err := r.putRoles(ctx, b); err != nil {
		return err
	}
	return r.onShard(ctx, b.shard, func(conn *pgx.Conn) error { return grantRole(ctx, conn, rec.Schema, rec.Role) })
}

// EnsureRoles gives a role to each active or suspended tenant that has none, and
// returns how many it gave. It goes on behind a tenant that fails; the error joins what
// each said. Interrupted, it goes on when called again.
func (r *Registry) EnsureRoles(ctx context.Context) (given int, err error) {
	var errs []error
	for after := tenant.ID(""); ; {
		rows, err := r.questions.Query(ctx, r.sql.withoutRole, after, MaxLimit)
		if err != nil {
			return given, errors.Join(append(errs, failed(ctx, "list tenants without a role", err))...)
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[tenant.ID])
		if err != nil {
			return given, errors.Join(append(errs, failed(ctx, "list tenants without a role", err))...)
		}
		for _, id := range ids {
			after = id
			switch _, err := r.EnsureRole(ctx, id); {
			case err == nil:
				given++
			case errors.Is(err, tenant.ErrUnavailable), ctx.Err() != nil:
				return given, errors.Join(append(errs, err)...)
			case !errors.Is(err, tenant.ErrUnknown) && !errors.Is(err, ErrState): // it was deleted meanwhile
				errs = append(errs, err)
			}
		}
		if len(ids) < MaxLimit {
			return given, errors.Join(errs...)
		}
	}
}

// newRole returns a name that no other role of any server has.
func newRole() string { return rolePrefix + strings.ToLower(rand.Text()) }

const rolePrefix = "gt_"
