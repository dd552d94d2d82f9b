package resolver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pgscope"
	"github.com/gormtenancy/gormtenancy/internal/pool"
	"github.com/gormtenancy/gormtenancy/internal/service"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// ScopeFunc tells the scope of a statement on one shard from its context.
type ScopeFunc = func(context.Context) (pgscope.Scope, error)

// Config says what a Router routes by.
type Config struct {
	// Directory tells where tenants live. Required.
	Directory Directory
	// Home is the application's own database: shared and bare statements run
	// on its primary. A shard of the same name need not be in the Directory.
	Home tenant.Shard
	// Connect makes the connector of one node, given its DSN, whose
	// connections scope by the given function and are pool.Sessions. Required.
	Connect func(dsn string, scope ScopeFunc) (driver.Connector, error)
	// ConnectAs, if not nil, is strict mode: tenants that do not run under a role of
	// their own fail with tenant.ErrNoRole. The Directory must be a Logins.
	ConnectAs ConnectAs
	// SharedSchema is where tenant.Shared statements run. Default "public".
	SharedSchema string
	// Prepared is an argument that makes the driver prepare a statement, put
	// before the arguments of GORM's prepared statements. Nil: none.
	Prepared any
	// MaxConns, MaxAge, MaxIdle, MaxTenants, MaxWaiting, LaneConns and SlowAcquire are
	// each node's pool limits; zero means the pool package's defaults (pool.Config).
	MaxConns, MaxTenants, MaxWaiting, LaneConns int
	MaxAge, MaxIdle, SlowAcquire                time.Duration
	// MaxTotal bounds the open connections of all pools together, and MaxPerServer
	// those to one server, by the host and port of the DSNs. Zero: no bound but
	// MaxConns.
	MaxTotal, MaxPerServer int
	// LeakAfter is how long a connection may be held before it is logged, with the
	// line that asked for it. Zero: nobody looks.
	LeakAfter time.Duration
	// MinVersion is the version that a tenant's schema must have reached where the
	// context asks for none (tenant.RequireVersion). Zero: any.
	MinVersion int64
	// MaxLag is how old a replica's last known position may be before reads
	// avoid it. Default 5 s.
	MaxLag time.Duration
	// Governor, if not nil, holds tenants to their limits.
	Governor Governor
	// Meter, if not nil, is told what no Span accounts for.
	Meter Meter
	// OnClose is called when the Router was closed. May be nil.
	OnClose func()
	// Logger gets what goes wrong in the background. Default slog.Default.
	Logger *slog.Logger
}

// Router is a driver.Connector of virtual connections. Make the handle of it
// with sql.OpenDB; closing the handle closes the Router.
type Router struct {
	cfg Config

	// shards is replaced, never changed, under mu. Opening a shard opens no
	// connection, so mu is never held for long.
	mu     sync.Mutex
	shards atomic.Pointer[map[place]*shard]
	closed bool
	// forgotten counts the times that a shard was forgotten, by name.
	forgotten map[string]int

	budget  *pool.Budget
	janitor service.Group
	virtual atomic.Int64           // open virtual connections
	handle  atomic.Pointer[sql.DB] // that is made of the Router
	aged    atomic.Int64           // virtual connections that the handle closed for their age
	cancel  func()                 // ends the Directory's notifications
}

// New returns a Router that has connected nowhere yet.
func New(cfg Config) (*Router, error) {
	switch {
	case cfg.Directory == nil:
		return nil, errors.New("resolver: Config.Directory is required")
	case cfg.Connect == nil:
		return nil, errors.New("resolver: Config.Connect is required")
	}
	if _, ok := cfg.Directory.(Logins); cfg.ConnectAs != nil && !ok {
		return nil, errors.New("resolver: Config.ConnectAs needs a Directory that knows the logins' passwords (resolver.Logins)")
	}
	if cfg.SharedSchema == "" {
		cfg.SharedSchema = "public"
	}
	if cfg.MaxLag <= 0 {
		cfg.MaxLag = 5 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	r := &Router{cfg: cfg, cancel: func() {}, forgotten: map[string]int{}}
	if cfg.MaxTotal > 0 || cfg.MaxPerServer > 0 {
		r.budget = pool.NewBudget(cfg.MaxTotal, cfg.MaxPerServer)
	}
	r.shards.Store(&map[place]*shard{})
	// A fresh group cannot have been started before.
	_ = r.janitor.Start(context.Background(), r.care)
	if w, ok := cfg.Directory.(ShardWatcher); ok {
		r.cancel = w.OnShardChange(r.forget)
	}
	return r, nil
}

// Connect returns a virtual connection. It does no I/O.
func (r *Router) Connect(context.Context) (driver.Conn, error) {
	r.virtual.Add(1)
	return &conn{r: r, created: time.Now()}, nil
}

// Driver returns a driver that opens nothing: the Router is its own connector.
func (r *Router) Driver() driver.Driver { return virtualDriver{} }

type virtualDriver struct{}

func (virtualDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("resolver: connections are opened through the handle only")
}

// Close closes all pools and waits for the connections in use. The handle
// calls it.
func (r *Router) Close() error {
	r.cancel()
	r.janitor.Stop()
	r.mu.Lock()
	open := *r.shards.Load()
	r.shards.Store(&map[place]*shard{})
	r.closed = true
	r.mu.Unlock()
	var wg sync.WaitGroup
	for _, s := range open {
		wg.Go(s.close)
	}
	wg.Wait()
	if r.cfg.OnClose != nil {
		r.cfg.OnClose()
	}
	return nil
}

// where is the place of one statement.
type where struct {
	shard *shard
	owner string
}

// locate finds the shard of ctx's statements, and their tenant and its limits.
func (c *conn) locate(ctx context.Context) (where, error) {
	r := c.r
	name, login, owner := r.cfg.Home.Name, "", ""
	c.tenant = tenant.Tenant{}
	switch id, err := tenant.FromContext(ctx); {
	case err == nil:
		if c.tenant, err = r.cfg.Directory.Lookup(ctx, id); err != nil {
			return where{}, err
		}
		if login, err = r.loginOf(&c.tenant); err != nil {
			return where{}, err
		}
		name, owner = c.tenant.Placement.Shard, string(id)
	case tenant.IsShared(ctx):
		owner = sharedOwner
	case err != tenant.ErrNone:
		return where{}, err
	}
	c.govern()
	s, err := r.under(ctx, name, login)
	return where{s, owner}, err
}

// sharedOwner owns shared statements. It is a reserved word, no tenant's ID.
const sharedOwner = "shared"

// systemOwner owns the Router's own statements. No tenant's ID has a colon.
const systemOwner = ":system"

// scope returns the ScopeFunc of one shard, on the connections of one login. It asks
// the Directory again: what it says when the statement runs is what counts.
func (r *Router) scope(shard, login string) ScopeFunc {
	return func(ctx context.Context) (pgscope.Scope, error) {
		if isSystem(ctx) {
			return pgscope.Scope{Owner: systemOwner}, nil
		}
		id, version, err := tenant.Demand(ctx, r.cfg.MinVersion)
		switch {
		case err == nil:
			return r.tenantScope(ctx, id, version, place{shard, login})
		case err != tenant.ErrNone:
			return pgscope.Scope{}, err
		case shard != r.cfg.Home.Name, login != "":
			return pgscope.Scope{}, tenant.ErrNone
		case tenant.IsShared(ctx):
			return pgscope.Scope{Owner: sharedOwner, Schema: r.cfg.SharedSchema}, nil
		}
		return pgscope.Scope{}, nil
	}
}

func (r *Router) tenantScope(ctx context.Context, id tenant.ID, version int64, at place) (pgscope.Scope, error) {
	t, err := r.cfg.Directory.Lookup(ctx, id)
	if err != nil {
		return pgscope.Scope{}, err
	}
	if t.Placement.Shard != at.shard {
		return pgscope.Scope{}, fmt.Errorf("tenant %s is not on shard %s: %w", id, at.shard, tenant.ErrMisplaced)
	}
	switch login, err := r.loginOf(&t); {
	case err != nil:
		return pgscope.Scope{}, err
	case login != at.login:
		return pgscope.Scope{}, fmt.Errorf("tenant %s runs under another login than this connection's: %w", id, tenant.ErrMisplaced)
	}
	if err := usable(ctx, &t, version); err != nil {
		return pgscope.Scope{}, err
	}
	if len(t.Schema) > 63 { // the server would cut it off, and find another's
		return pgscope.Scope{}, fmt.Errorf("tenant %s: %w: its name is longer than 63 bytes", id, tenant.ErrInvalidSchema)
	}
	s := pgscope.Scope{Owner: string(id), Schema: t.Schema, Version: t.Version, Volatile: t.Migrating}
	s.StatementTimeout, s.IdleTimeout = r.timeouts(&t)
	if at.login != "" {
		s.Role = t.Role
	}
	return s, nil
}

// usable returns an error if statements of t may not run in ctx. What ctx admits is
// only looked up where it matters.
func usable(ctx context.Context, t *tenant.Tenant, version int64) error {
	if !t.State.Serves() {
		if err := t.Usable(tenant.AdmissionOf(ctx)); err != nil {
			return err
		}
	}
	if t.Version >= version {
		return nil
	}
	return t.Reached(version)
}

// Admit returns an error if GORM's statements may not run in ctx: no tenant
// and not shared, a bad ID, a tenant that is unknown, does
// not serve, or lacks a version that is required.
func (r *Router) Admit(ctx context.Context) error {
	if ctx == nil {
		return tenant.ErrNone
	}
	id, version, err := tenant.Demand(ctx, r.cfg.MinVersion)
	if err != nil {
		if tenant.IsShared(ctx) {
			return nil
		}
		return err
	}
	t, err := r.cfg.Directory.Lookup(ctx, id)
	if err != nil {
		return err
	}
	if _, err := r.loginOf(&t); err != nil {
		return err
	}
	return usable(ctx, &t, version)
}

// shard returns the pools of a shard, made when it is first asked for.
func (r *Router) shard(ctx context.Context, name string) (*shard, error) {
	for {
		if s := (*r.shards.Load())[place{shard: name}]; s != nil {
			return s, nil
		}
		r.mu.Lock()
		before := r.forgotten[name]
		r.mu.Unlock()
		def, err := r.cfg.Directory.Shard(ctx, name)
		if errors.Is(err, tenant.ErrUnknownShard) && name == r.cfg.Home.Name {
			def, err = r.cfg.Home, nil
		}
		if err != nil {
			return nil, err
		}
		if s, err := r.add(def, before); s != nil || err != nil {
			return s, err
		}
	}
}

// add opens a shard, or returns nil if it was forgotten since the Directory was
// asked: what that said may be old.
func (r *Router) add(def tenant.Shard, before int) (*shard, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, pool.ErrClosed
	}
	at := place{shard: def.Name}
	if s := (*r.shards.Load())[at]; s != nil {
		return s, nil
	}
	if r.forgotten[def.Name] != before {
		return nil, nil
	}
	s, err := openShard(r, def)
	if err != nil {
		return nil, err
	}
	r.replace(at, s)
	return s, nil
}

// wrote notes a write where it happened, and where the tenant's next read may
// run if the shard was opened anew in the meantime.
func (r *Router) wrote(w where) {
	w.shard.wrote(w.owner)
	if s := (*r.shards.Load())[place{shard: w.shard.name}]; s != nil && s.fresh != w.shard.fresh {
		s.wrote(w.owner)
	}
}

// Wrote notes that somebody else than a statement of the Router's has written in
// t's schema, and committed: until a replica has replayed that, reads of t run on
// the primary. A shard that cannot be found has no replicas to keep away from.
func (r *Router) Wrote(ctx context.Context, t tenant.Tenant) {
	if s, err := r.shard(ctx, t.Placement.Shard); err == nil {
		s.wrote(string(t.ID))
	}
}

// replace stores a copy of the shards with s at its place. r.mu is held.
func (r *Router) replace(at place, s *shard) {
	next := maps.Clone(*r.shards.Load())
	next[at] = s
	r.shards.Store(&next)
}

// forget drops a shard that was changed or removed. Statements under way end
// on its old connections; the next one asks the Directory.
func (r *Router) forget(name string) {
	r.mu.Lock()
	r.forgotten[name]++
	next := map[place]*shard{}
	for at, s := range *r.shards.Load() {
		if at.shard != name {
			next[at] = s
			continue
		}
		defer func() { go s.close() }()
	}
	r.shards.Store(&next)
	r.mu.Unlock()
}
