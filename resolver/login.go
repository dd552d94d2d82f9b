package resolver

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gormtenancy/gormtenancy/internal/pgscope"
	"github.com/gormtenancy/gormtenancy/internal/pool"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Strict mode: each tenant's statements run under a role of its own, on connections
// of a login that may do nothing but take on the roles of its bucket. So a shard has
// pools for each login beside its own, which only provisioning tenants, shared and
// bare statements use.

// Logins is what a Directory implements for strict mode.
type Logins interface {
	// Login returns the password of a tenant's Login on a shard, asked for with each
	// connection that is opened. The error wraps tenant.ErrNoRole if there is none.
	Login(ctx context.Context, shard, login string) (tenant.Secret, error)
}

// LoginFunc tells who to log in as.
type LoginFunc = func(context.Context) (pgscope.Login, error)

// ConnectAs makes the connector of one node, as Config.Connect does, whose connections
// log in as told and take on the role of each scope.
type ConnectAs = func(dsn string, login LoginFunc, scope ScopeFunc) (driver.Connector, error)

// place names pools: those of a shard, or of one login on it.
type place struct{ shard, login string }

// loginOf returns the login on whose connections t's statements run, empty for the
// shard's own ones.
func (r *Router) loginOf(t *tenant.Tenant) (string, error) {
	if r.cfg.ConnectAs == nil || t.State == tenant.StateProvisioning {
		return "", nil
	}
	// The server would cut a longer name off, and find another's.
	if t.Role == "" || t.Login == "" || t.Role == "none" || len(t.Role) > 63 {
		return "", fmt.Errorf("tenant %s: %w", t.ID, tenant.ErrNoRole)
	}
	return t.Login, nil
}

// under returns the pools of a login on a shard, made when they are first asked for.
func (r *Router) under(ctx context.Context, name, login string) (*shard, error) {
	for login != "" {
		if s := (*r.shards.Load())[place{name, login}]; s != nil {
			return s, nil
		}
		base, err := r.shard(ctx, name)
		if err != nil {
			return nil, err
		}
		if s, err := r.addLogin(base, login); s != nil || err != nil {
			return s, err
		}
	}
	return r.shard(ctx, name)
}

// addLogin opens a login's pools, or returns nil if the shard was forgotten since.
func (r *Router) addLogin(base *shard, login string) (*shard, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, pool.ErrClosed
	}
	at := place{base.name, login}
	open := *r.shards.Load()
	if s := open[at]; s != nil {
		return s, nil
	}
	if open[place{shard: base.name}] != base {
		return nil, nil
	}
	s, err := openLogin(r, base, login)
	if err != nil {
		return nil, err
	}
	r.replace(at, s)
	return s, nil
}

// openLogin opens a login's pools to the nodes of a shard. What is known of these is
// the shard's.
func openLogin(r *Router, base *shard, login string) (*shard, error) {
	logins := r.cfg.Directory.(Logins) // New has seen to it
	as := func(ctx context.Context) (pgscope.Login, error) {
		password, err := logins.Login(ctx, base.name, login)
		return pgscope.Login{Name: login, Password: password}, err
	}
	s := &shard{name: base.name, login: login, def: base.def, fresh: base.fresh}
	err := s.open(r, func(dsn string) (driver.Connector, error) {
		return r.cfg.ConnectAs(dsn, as, r.scope(base.name, login))
	})
	for i, replica := range s.replicas {
		replica.standing = base.replicas[i].standing
	}
	return s, err
}

// roleless reports whether a node does not know a tenant's role, or its login: a
// replica may not have replayed them yet.
func roleless(err error) bool {
	var connect *pgconn.ConnectError
	var pg *pgconn.PgError
	return errors.Is(err, tenant.ErrNoRole) ||
		errors.As(err, &connect) && errors.As(err, &pg) && (pg.Code == "28P01" || pg.Code == "28000")
}
