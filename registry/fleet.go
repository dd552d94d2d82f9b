package registry

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/tenant"
)

var _ migrations.Fleet = (*Registry)(nil)

// Lagging implements migrations.Fleet: a page of the tenants whose registered
// version is below, or above, one. The error wraps tenant.ErrUnavailable.
func (r *Registry) Lagging(ctx context.Context, q migrations.Lag) ([]tenant.Tenant, error) {
	side := "<"
	if q.Above {
		side = ">"
	}
	rows, err := r.questions.Query(ctx, fmt.Sprintf(r.sql.lagging, side), q.Version, q.AfterVersion, q.After, q.Limit)
	if err != nil {
		return nil, failed(ctx, "list tenants by version", err)
	}
	page, err := pgx.CollectRows(rows, scanTenant)
	if err != nil {
		return nil, failed(ctx, "list tenants by version", err)
	}
	return page, nil
}

// Census implements migrations.Fleet. The error wraps tenant.ErrUnavailable.
func (r *Registry) Census(ctx context.Context) ([]migrations.Count, error) {
	rows, err := r.questions.Query(ctx, r.sql.census)
	if err != nil {
		return nil, failed(ctx, "count tenants by version", err)
	}
	counts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[migrations.Count])
	if err != nil {
		return nil, failed(ctx, "count tenants by version", err)
	}
	return counts, nil
}

// ShardConfig implements migrations.Fleet. The error is as Shard's, or says
// that the DSN cannot be read.
func (r *Registry) ShardConfig(ctx context.Context, name string) (*pgx.ConnConfig, error) {
	s, err := r.Shard(ctx, name)
	if err != nil {
		return nil, err
	}
	return r.parseDSN(s.Primary)
}

// Locks implements migrations.Fleet. It connects to the control database. The
// error wraps tenant.ErrUnavailable.
func (r *Registry) Locks(ctx context.Context) (migrations.Locks, error) {
	l := &tenantLocks{r: r}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// tenantLocks are the locks of many tenants on one connection, which is
// replaced when it is lost. The locks of before are lost then.
type tenantLocks struct {
	r *Registry
	// mu guards conn, and is held while it is used.
	mu   sync.Mutex
	conn *pgx.Conn
}

func (l *tenantLocks) open(ctx context.Context) (err error) {
	if l.conn != nil && !l.conn.IsClosed() {
		return nil
	}
	if l.conn, err = l.r.connect(ctx, l.r.conn); err != nil {
		l.conn = nil
		return failed(ctx, "connect to lock tenants", err)
	}
	return nil
}

func (l *tenantLocks) keys(ids []tenant.ID) []int64 {
	keys := make([]int64, len(ids))
	for i, id := range ids {
		keys[i] = lockKey(l.r.cfg.Schema, id)
	}
	return keys
}

// Try implements migrations.Locks. The tenants are read by a statement of its
// own, which sees what was committed before the locks were had.
func (l *tenantLocks) Try(ctx context.Context, ids []tenant.ID) (migrations.Held, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.open(ctx); err != nil {
		return migrations.Held{}, err
	}
	held, err := l.try(ctx, ids)
	if err != nil {
		// Nobody knows which locks it has got.
		closeConn(ctx, l.conn)
		return migrations.Held{}, failed(ctx, "lock tenants", err)
	}
	return held, nil
}

func (l *tenantLocks) try(ctx context.Context, ids []tenant.ID) (held migrations.Held, err error) {
	locked := map[tenant.ID]bool{}
	var tenants []tenant.Tenant
	b := &pgx.Batch{}
	b.Queue(`SELECT k.id FROM unnest($1::text[], $2::bigint[]) AS k (id, key) WHERE pg_catalog.pg_try_advisory_lock(k.key)`,
		ids, l.keys(ids)).Query(func(rows pgx.Rows) error {
		got, err := pgx.CollectRows(rows, pgx.RowTo[tenant.ID])
		for _, id := range got {
			locked[id] = true
		}
		return err
	})
	b.Queue(`SELECT count(pg_catalog.pg_notify($1, $2 || ':' || id)) FROM unnest($3::text[]) id`, l.r.cfg.Schema, migratingKind, ids)
	b.Queue(l.r.sql.list+" WHERE id = ANY ($1::text[])", ids).Query(func(rows pgx.Rows) (err error) {
		tenants, err = pgx.CollectRows(rows, scanTenant)
		return err
	})
	if err := l.conn.SendBatch(ctx, b).Close(); err != nil {
		return held, err
	}
	for _, t := range tenants {
		if locked[t.ID] {
			held.Tenants = append(held.Tenants, t)
			delete(locked, t.ID)
		}
	}
	for id := range locked {
		held.Gone = append(held.Gone, id)
	}
	return held, l.unlock(ctx, held.Gone)
}

func (l *tenantLocks) unlock(ctx context.Context, ids []tenant.ID) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := l.conn.Exec(ctx, unlockSQL, l.keys(ids))
	return err
}

// Finish implements migrations.Locks. A spare tenant may have become somebody's
// meanwhile: its schema is still the same.
func (l *tenantLocks) Finish(ctx context.Context, held []tenant.Tenant, versions map[tenant.ID]int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var shards, schemas []string
	var to []int64
	ids := make([]tenant.ID, len(held))
	for i, t := range held {
		ids[i] = t.ID
		if v, ok := versions[t.ID]; ok {
			shards, schemas, to = append(shards, t.Placement.Shard), append(schemas, t.Schema), append(to, v)
			defer l.r.writers.tell(ctx, t) // or a read meets a replica of before
			defer l.r.forget(t.ID)
		}
	}
	if err := l.open(ctx); err != nil {
		return err
	}
	b := &pgx.Batch{}
	if len(to) > 0 {
		b.Queue(setActor, actorOf(ctx))
		b.Queue(l.r.sql.setVersions, shards, schemas, to)
	}
	b.Queue(unlockSQL, l.keys(ids))
	if err := l.conn.SendBatch(ctx, b).Close(); err != nil {
		closeConn(ctx, l.conn)
		return failed(ctx, "register versions", err)
	}
	return nil
}

// Close implements migrations.Locks.
func (l *tenantLocks) Close(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		closeConn(ctx, l.conn)
	}
}
