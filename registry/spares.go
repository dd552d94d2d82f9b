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

const (
	// sparePrefix begins the ID of a spare tenant, and spareOrigin its mark's,
	// which stays when it becomes somebody's.
	sparePrefix = "spare-"
	spareOrigin = "spare."
	// spareCheck is how often the spares are counted even if nobody took one.
	spareCheck = 10 * time.Second
	// spareLife is how long a spare of another recipe is kept: processes of the
	// version before may still run.
	spareLife = time.Hour
)

// spares reports whether tenants are made ahead: what has no recipe cannot be told
// from what another version of the application made.
func (r *Registry) spares() bool {
	return r.cfg.SpareTenants > 0 && r.provision.Load() != nil && r.recipe.Load().Name != ""
}

// takeSpare makes the tenant out of a spare one, in one round trip. It returns nil
// if there is none, or if the ID is taken.
func (r *Registry) takeSpare(ctx context.Context, want *record) (*record, error) {
	rec, err := alter(ctx, r.questions, r.sql.takeSpare, want.ID, want.Tier, want.Attributes.String(),
		want.Placement.Shard, r.recipeName())
	switch {
	case sqlState(err) == uniqueViolation:
		return nil, nil // the ordinary way tells whose it is
	case err != nil:
		return nil, failed(ctx, "take a spare", err)
	}
	r.wantSpares()
	return rec, nil
}

// wantSpares makes keepSpares look at once.
func (r *Registry) wantSpares() {
	select {
	case r.spareTaken <- struct{}{}:
	default:
	}
}

// keepSpares keeps Config.SpareTenants of them on each shard until ctx ends.
func (r *Registry) keepSpares(ctx context.Context) {
	if r.cfg.SpareTenants == 0 {
		return
	}
	tick := time.NewTicker(jittered(spareCheck))
	defer tick.Stop()
	for {
		if err := r.fillSpares(ctx); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "tenant registry could not keep its spare tenants", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.spareTaken:
		}
	}
}

func (r *Registry) fillSpares(ctx context.Context) error {
	if !r.spares() {
		return nil
	}
	errs := []error{r.dropOldSpares(ctx)}
	shards, err := r.Shards(ctx)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, s := range shards {
		errs = append(errs, r.fillShard(ctx, s))
	}
	return errors.Join(errs...)
}

// fillShard makes the spares that are missing on a shard, unless another process
// is at it.
func (r *Registry) fillShard(ctx context.Context, s tenant.Shard) error {
	l, err := r.lock(ctx, tenant.ID(spareOrigin+s.Name), false)
	if err != nil || l == nil {
		return err
	}
	defer l.unlock(ctx)
	for {
		var n int
		row := l.QueryRow(ctx, r.sql.countSpares, s.Name, r.recipeName())
		if err := row.Scan(&n); err != nil {
			return failed(ctx, "count the spares", err)
		}
		if n >= r.cfg.SpareTenants {
			return nil
		}
		if err := r.makeSpare(ctx, s); err != nil {
			return fmt.Errorf("make a spare on shard %s: %w", s.Name, err)
		}
	}
}

// makeSpare is a creation that ends before the tenant serves.
func (r *Registry) makeSpare(ctx context.Context, s tenant.Shard) error {
	id := tenant.ID(sparePrefix + strings.ToLower(rand.Text()))
	want, err := r.plan(tenant.Spec{ID: id})
	if err != nil {
		return err
	}
	want.Placement = tenant.Placement{Shard: s.Name, Region: s.Region, Epoch: 1}
	_, err = r.perform(ctx, want, spareOrigin, r.sql.putAside)
	return err
}

// dropOldSpares drops what a crash left half made, and spares that nobody would
// take any more.
func (r *Registry) dropOldSpares(ctx context.Context) error {
	rows, err := r.questions.Query(ctx, r.sql.oldSpares, r.recipeName(), spareLife.Seconds(), r.cfg.ProvisionTimeout.Seconds())
	if err != nil {
		return failed(ctx, "list old spares", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return failed(ctx, "list old spares", err)
	}
	var errs []error
	for _, id := range ids {
		errs = append(errs, r.dropSpare(ctx, tenant.ID(id)))
	}
	return errors.Join(errs...)
}

// dropSpare drops a spare unless somebody works on it, or has taken it.
func (r *Registry) dropSpare(ctx context.Context, id tenant.ID) error {
	l, err := r.lock(ctx, id, false)
	if err != nil || l == nil {
		return err
	}
	defer l.unlock(ctx)
	rec, err := alter(ctx, l, r.sql.discardSpare, id)
	if err != nil {
		return failed(ctx, "discard a spare", err)
	}
	if rec == nil {
		return nil
	}
	if err := r.dropSchema(ctx, rec); err != nil {
		return err
	}
	if _, err := alter(ctx, l, r.sql.remove, id, rec.origin, rec.attempt); err != nil {
		return failed(ctx, "remove a spare", err)
	}
	return nil
}
