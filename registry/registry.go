package registry

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	gocache "github.com/patrickmn/go-cache"

	"github.com/gormtenancy/gormtenancy/internal/service"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Registry is the control plane's client. It is safe for concurrent use.
// Obtain one with Open; Close it.
type Registry struct {
	cfg  Config
	conn *pgx.ConnConfig // the control database's, never changed
	log  *slog.Logger
	sql  queries

	// questions carries short statements only, one connection each. work
	// carries the tenants' locks, which are held while a provisioner runs and
	// asks questions: in one pool they would wait for each other.
	questions, work *pgxpool.Pool

	shardConns shardConns
	rings      rings
	writers    watchers

	policyWatchers policyWatchers
	spareTaken     chan struct{} // holds one at most

	roles       atomic.Bool   // tenants have roles
	rolesWanted chan struct{} // holds one at most
	rolesTaken  atomic.Int64
	logins      logins

	cache     *cache
	migrating *gocache.Cache // by ID, see hints.go
	byName    *nameCache
	shared    *shared // nil without Config.Cache
	shards    *shardCache
	provision atomic.Pointer[Provisioner]
	region    atomic.Pointer[string] // of new tenants whose Spec names none
	recipe    atomic.Pointer[Recipe]
	script    atomic.Pointer[scripted]
	loops     service.Group

	// mu guards closed, and that flights gains none once it is set. It is
	// never held while waiting.
	mu      sync.Mutex
	closed  bool
	flights sync.WaitGroup
	// done is cancelled by Close, and ends the flights.
	done   context.Context
	cancel context.CancelFunc
}

// Open connects to the control database, brings the control plane's schema to
// the newest version, once however many processes do so at the same time, and
// starts to listen for changes. The registry outlives ctx.
func Open(ctx context.Context, cfg Config) (*Registry, error) {
	r, err := newRegistry(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := r.prepare(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// newRegistry returns a registry that has touched nothing yet.
func newRegistry(ctx context.Context, cfg Config) (*Registry, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	conn, err := cfg.connConfig()
	if err != nil {
		return nil, err
	}
	r := &Registry{
		cfg: cfg, conn: conn, log: cfg.Logger, sql: newQueries(cfg.Schema),
		cache: newCache(cfg), migrating: gocache.New(migratingFor, 0), byName: newNameCache(cfg), shards: newShardCache(), spareTaken: make(chan struct{}, 1),
		rolesWanted: make(chan struct{}, 1),
	}
	r.SetProvisioner(cfg.Provision)
	r.SetRegion(cfg.Region)
	r.SetRecipe(cfg.Recipe)
	r.SetRoles(cfg.Roles)
	detached := context.WithoutCancel(ctx)
	r.done, r.cancel = context.WithCancel(detached)
	if r.questions, err = newPool(detached, conn, cfg.MaxConns); err != nil {
		return nil, err
	}
	if r.work, err = newPool(detached, conn, cfg.MaxConns); err != nil {
		r.questions.Close()
		return nil, err
	}
	return r, nil
}

func (r *Registry) prepare(ctx context.Context) error {
	if err := migrations.ApplyControl(ctx, r.conn, r.cfg.Schema); err != nil {
		return failed(ctx, "prepare the control plane", err)
	}
	if err := r.ensureHome(ctx); err != nil {
		return err
	}
	if err := r.openShared(ctx); err != nil {
		return err
	}
	return r.loops.Start(ctx, r.listen, r.sweep, r.keepSpares, r.deleteDue, r.keepRoles, r.keepUsage, r.keepSizes)
}

// Close ends what runs in the background and closes the connections. It waits
// for operations that are under way. It may be called more than once.
func (r *Registry) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.loops.Stop()
	r.flights.Wait()
	r.cache.flush()
	r.byName.flush()
	r.shardConns.close()
	if r.shared != nil {
		r.shared.cache.Close()
	}
	r.work.Close()
	r.questions.Close()
}

// begin enters a flight, unless the registry is closed.
func (r *Registry) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.flights.Add(1)
	return true
}

// SetRegion makes Create place tenants whose Spec names neither a region nor a
// shard in this region. Empty: in any.
func (r *Registry) SetRegion(region string) { r.region.Store(&region) }

// Ping reports whether the control database answers. Its error wraps
// tenant.ErrUnavailable.
func (r *Registry) Ping(ctx context.Context) error {
	if err := r.questions.Ping(ctx); err != nil {
		return failed(ctx, "ping the control plane", err)
	}
	return nil
}

// String names the registry without its secrets.
func (r *Registry) String() string {
	return fmt.Sprintf("registry %s in %s", tenant.QuoteIdent(r.cfg.Schema), tenant.RedactDSN(r.conn.ConnString()))
}
