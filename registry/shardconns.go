package registry

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// shardConns are the registry's own connections to the shards' primaries, for
// what is done to schemas. They are few, and open only while they are used.
type shardConns struct {
	mu    sync.Mutex
	pools map[string]*pgxpool.Pool // by DSN
}

// onShard runs fn on a connection to the primary of a tenant's shard. fn leaves
// nothing on the session.
func (r *Registry) onShard(ctx context.Context, name string, fn func(*pgx.Conn) error) error {
	err := func() error {
		s, err := r.Shard(ctx, name)
		if err != nil {
			return err
		}
		pool, err := r.shardPool(s)
		if err != nil {
			return err
		}
		conn, err := pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer conn.Release()
		return fn(conn.Conn())
	}()
	switch {
	case sqlState(err) == queryCanceled && ctx.Err() != nil:
		return fmt.Errorf("shard %s: %w: %w", name, ctx.Err(), err)
	case err != nil:
		return fmt.Errorf("shard %s: %w", name, err)
	}
	return nil
}

// shardPool returns the pool of a shard's primary.
func (r *Registry) shardPool(s tenant.Shard) (*pgxpool.Pool, error) {
	c := &r.shardConns
	c.mu.Lock()
	defer c.mu.Unlock()
	if pool := c.pools[s.Primary]; pool != nil {
		return pool, nil
	}
	conn, err := r.parseDSN(s.Primary)
	if err != nil {
		return nil, err
	}
	if conn.ConnectTimeout == 0 || conn.ConnectTimeout > r.cfg.QueryTimeout {
		conn.ConnectTimeout = r.cfg.QueryTimeout
	}
	awaitAnswers(conn)
	pool, err := newPool(context.WithoutCancel(r.done), conn, r.cfg.MaxConns)
	if err != nil {
		return nil, err
	}
	if c.pools == nil {
		c.pools = map[string]*pgxpool.Pool{}
	}
	c.pools[s.Primary] = pool
	return pool, nil
}

// awaitAnswers makes the server end statements whose context ends, and awaits what it
// says to that. Otherwise a schema may be made after it was looked for in vain, to be
// dropped.
func awaitAnswers(config *pgx.ConnConfig) {
	config.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: farewell}
	}
}

// forgetShards closes the connections to databases that are no shard's any more,
// once they are given back.
func (r *Registry) forgetShards(shards map[string]tenant.Shard) {
	used := map[string]bool{}
	for _, s := range shards {
		used[s.Primary] = true
	}
	c := &r.shardConns
	c.mu.Lock()
	defer c.mu.Unlock()
	for dsn, pool := range c.pools {
		if !used[dsn] && r.begin() {
			delete(c.pools, dsn)
			go func() {
				defer r.flights.Done()
				pool.Close()
			}()
		}
	}
}

// close closes all of them, and waits for those that are in use.
func (c *shardConns) close() {
	c.mu.Lock()
	pools := c.pools
	c.pools = nil
	c.mu.Unlock()
	for _, pool := range pools {
		pool.Close()
	}
}
