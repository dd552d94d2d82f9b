package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gormtenancy/gormtenancy/internal/pgdsn"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// AddShard registers a shard. One of the same name takes the new values, for
// instance after a failover; with equal values nothing happens. The databases
// are not connected to. A database that is another shard's primary already is
// refused: two tenants could share a schema there. (They are told apart by
// host, port and name, so that an alias of the host goes unnoticed.)
func (r *Registry) AddShard(ctx context.Context, s tenant.Shard) error {
	if err := r.readable(s); err != nil {
		return err
	}
	err := alterTx(ctx, r.questions, func(tx pgx.Tx) error { return r.addShard(ctx, tx, s) })
	if errors.Is(err, ErrSameDatabase) {
		return err
	}
	if err != nil {
		return failed(ctx, "add shard "+s.Name, err)
	}
	r.refreshShards(ctx)
	return nil
}

// readable reports what of a shard cannot be used.
func (r *Registry) readable(s tenant.Shard) error {
	if err := s.Validate(); err != nil {
		return err
	}
	for _, dsn := range append([]string{s.Primary}, s.Replicas...) {
		if _, err := r.parseDSN(dsn); err != nil {
			return fmt.Errorf("shard %s: %w", s.Name, err)
		}
	}
	return nil
}

// ownDatabase returns an error if a shard's primary is another one's.
func (r *Registry) ownDatabase(s tenant.Shard, others iter.Seq[tenant.Shard]) error {
	for o := range others {
		if o.Name != s.Name && r.sameDatabase(o.Primary, s.Primary) {
			return fmt.Errorf("shard %s: %w: %s", s.Name, ErrSameDatabase, o.Name)
		}
	}
	return nil
}

func (r *Registry) addShard(ctx context.Context, tx pgx.Tx, s tenant.Shard) error {
	others, err := r.lockShards(ctx, tx)
	if err != nil {
		return err
	}
	if err := r.ownDatabase(s, maps.Values(others)); err != nil {
		return err
	}
	primary, replicas := s.Primary, s.Replicas
	if primary == r.conn.ConnString() {
		primary = "" // each process has its own way to the control database
	}
	if replicas == nil {
		replicas = []string{}
	}
	_, err = tx.Exec(ctx, r.sql.upsertShard, s.Name, s.Region, primary, replicas)
	return err
}

// lockShards returns the shards, and keeps others from changing them until tx
// ends.
func (r *Registry) lockShards(ctx context.Context, tx pgx.Tx) (map[string]tenant.Shard, error) {
	if _, err := tx.Exec(ctx, r.sql.lockShards); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, r.sql.shards)
	if err != nil {
		return nil, err
	}
	return r.collectShards(rows)
}

// sameDatabase compares where two DSNs lead to.
func (r *Registry) sameDatabase(a, b string) bool {
	x, errX := r.parseDSN(a)
	y, errY := r.parseDSN(b)
	if errX != nil || errY != nil || x.Database != y.Database {
		return false
	}
	return slices.ContainsFunc(hosts(x), func(h string) bool { return slices.Contains(hosts(y), h) })
}

// hosts returns the addresses that a DSN with several hosts may lead to.
func hosts(c *pgx.ConnConfig) []string {
	all := []string{fmt.Sprintf("%s:%d", strings.ToLower(c.Host), c.Port)}
	for _, f := range c.Fallbacks {
		all = append(all, fmt.Sprintf("%s:%d", strings.ToLower(f.Host), f.Port))
	}
	return all
}

// parseDSN reads a shard's DSN. The error says nothing of it.
func (r *Registry) parseDSN(dsn string) (*pgx.ConnConfig, error) {
	if dsn == r.conn.ConnString() {
		return r.conn.Copy(), nil
	}
	return pgdsn.Parse(dsn)
}

// RemoveShard forgets a shard. It is refused with ErrShardInUse while tenants
// live there. The error wraps tenant.ErrUnknownShard if there is none.
func (r *Registry) RemoveShard(ctx context.Context, name string) error {
	op := fmt.Sprintf("remove shard %.64q", name)
	var tag pgconn.CommandTag
	err := alterTx(ctx, r.questions, func(tx pgx.Tx) (err error) {
		tag, err = tx.Exec(ctx, r.sql.removeShard, name)
		return err
	})
	switch {
	case sqlState(err) == foreignKeyViolation:
		return r.inUse(ctx, op, name)
	case err != nil:
		return failed(ctx, op, err)
	case tag.RowsAffected() == 0:
		return unknownShard(name)
	}
	r.refreshShards(ctx)
	return nil
}

func (r *Registry) inUse(ctx context.Context, op, name string) error {
	var n int64
	if err := r.questions.QueryRow(ctx, r.sql.countTenants, name).Scan(&n); err != nil {
		return failed(ctx, op, err)
	}
	return fmt.Errorf("%s: %w: %d tenants live there", op, ErrShardInUse, n)
}

// ensureHome registers the control database as the first shard, and reads the
// shards for the first time.
func (r *Registry) ensureHome(ctx context.Context) error {
	s, err := r.shardsSince(ctx, time.Now())
	if err != nil || r.cfg.HomeShard == "" || len(s.shards) > 0 {
		return err
	}
	home := tenant.Shard{Name: r.cfg.HomeShard, Region: r.cfg.Region, Primary: "the control database"}
	if err := home.Validate(); err != nil {
		return fmt.Errorf("registry.Config.HomeShard: %w", err)
	}
	err = alterTx(ctx, r.questions, func(tx pgx.Tx) error {
		// Without the lock two processes with different names add one each.
		if _, err := tx.Exec(ctx, r.sql.lockShards); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, r.sql.addHome, home.Name, home.Region)
		return err
	})
	if err != nil {
		return failed(ctx, "register shard "+home.Name, err)
	}
	_, err = r.shardsSince(ctx, time.Now())
	return err
}
