package registry

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// undoTimeout bounds what is cleaned up after the caller's context has ended.
const undoTimeout = 30 * time.Second

// tenantLock is a tenant's advisory lock on the control database. Whoever holds
// it runs every statement about the tenant on conn: a lock that was lost with
// its connection takes the statements with it.
type tenantLock struct {
	*pgxpool.Conn
	keys []int64
	held bool // or not to be had yet, or given back
}

// unlocked returns a connection on which insert takes the tenant's lock, in the
// message that enters the row.
func (r *Registry) unlocked(ctx context.Context, id tenant.ID) (*tenantLock, error) {
	conn, err := r.work.Acquire(ctx)
	if err != nil {
		return nil, failed(ctx, "lock tenant "+string(id), err)
	}
	return &tenantLock{conn, []int64{lockKey(r.cfg.Schema, id)}, false}, nil
}

// taking returns the statement that takes the lock or fails (divisionByZero), nil if it
// is held.
func (l *tenantLock) taking() *statement {
	if l.held {
		return nil
	}
	return &statement{"SELECT 1 / pg_try_advisory_lock($1)::int", []any{l.keys[0]}}
}

// last is alter for the last change under the lock, with which it is given back. After
// an error nobody knows whether it was, so the connection goes.
func (l *tenantLock) last(ctx context.Context, sql string, args ...any) (*record, error) {
	rec, err := alterAmid(ctx, l, sql, args, nil, &statement{unlockSQL, []any{l.keys}})
	if err != nil {
		closeConn(ctx, l.Conn.Conn())
	}
	l.held = false
	return rec, err
}

// lock takes the tenant's lock. If another holds it, lock waits, or returns
// nil if told not to.
func (r *Registry) lock(ctx context.Context, id tenant.ID, wait bool) (*tenantLock, error) {
	l, err := r.unlocked(ctx, id)
	if err != nil {
		return nil, err
	}
	l.held = true
	if wait {
		_, err = l.Exec(ctx, lockSQL, l.keys[0])
	} else {
		err = l.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", l.keys[0]).Scan(&l.held)
		if err == nil && !l.held {
			l.Release()
			return nil, nil
		}
	}
	if err != nil {
		l.unlock(ctx) // it may hold all the same
		return nil, failed(ctx, "lock tenant "+string(id), err)
	}
	return l, nil
}

const (
	lockSQL   = "SELECT pg_advisory_lock($1)"
	unlockSQL = "SELECT bool_and(pg_advisory_unlock(k)) FROM unnest($1::bigint[]) k"
)

// lockBoth takes the locks of two tenants on one connection, in an order that is
// everybody's.
func (r *Registry) lockBoth(ctx context.Context, a, b tenant.ID) (*tenantLock, error) {
	l, err := r.lock(ctx, min(a, b), true)
	if err != nil {
		return nil, err
	}
	key := lockKey(r.cfg.Schema, max(a, b))
	l.keys = append(l.keys, key)
	if _, err := l.Exec(ctx, lockSQL, key); err != nil {
		l.unlock(ctx) // it may hold all the same
		return nil, failed(ctx, "lock tenant "+string(max(a, b)), err)
	}
	return l, nil
}

// unlock gives the lock back, if need be by closing the connection.
func (l *tenantLock) unlock(ctx context.Context) {
	if !l.held {
		l.Release()
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	var held bool
	err := l.QueryRow(ctx, unlockSQL, l.keys).Scan(&held)
	if err != nil || !held {
		_ = l.Conn.Conn().Close(ctx) // the server ends the session either way
	}
	l.Release()
}

// lost reports whether the lock was given back, or went with its connection. Only a
// question finds that out: a connection that the server closed looks healthy until then.
func (l *tenantLock) lost(ctx context.Context) bool { return !l.held || l.Ping(ctx) != nil }

func lockKey(schema string, id tenant.ID) int64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "gormtenancy/tenant/%s/%s", schema, id)
	return int64(h.Sum64())
}
