package tenantplugin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// FleetOption configures ForEach and Gather.
type FleetOption func(*fleetRun)

// PerShard bounds how many tenants of one shard are worked on at the same time.
// Default 4.
func PerShard(n int) FleetOption { return func(f *fleetRun) { f.perShard = n } }

// PerTenant bounds the time that one tenant takes. Default: ctx's alone.
func PerTenant(d time.Duration) FleetOption { return func(f *fleetRun) { f.timeout = d } }

// MaxFailures stops the run when more than n tenants have failed. Default: none do.
func MaxFailures(n int) FleetOption { return func(f *fleetRun) { f.maxFailures = n } }

// FleetError tells for which tenants a run over many failed. The others were
// served.
type FleetError struct {
	Done   int                 // tenants that succeeded
	Failed map[tenant.ID]error // the others that were begun
	// Cause is why the run ended before all tenants were begun, nil if it did not:
	// the context's error, ErrTooManyFailures, or the registry's.
	Cause error
}

// ErrTooManyFailures is the Cause of a run that MaxFailures stopped.
var ErrTooManyFailures = errors.New("tenantplugin: more tenants failed than MaxFailures allows: mend what failed and run again")

// Error counts, and gives one of the reasons.
func (e *FleetError) Error() string {
	text := fmt.Sprintf("tenantplugin: %d tenants done, %d failed", e.Done, len(e.Failed))
	for id, err := range e.Failed {
		return fmt.Sprintf("%s, as %s: %v", text, id, err)
	}
	return fmt.Sprintf("%s: %v", text, e.Cause)
}

// Unwrap returns every tenant's error, and the Cause.
func (e *FleetError) Unwrap() []error {
	all := make([]error, 0, len(e.Failed)+1)
	if e.Cause != nil {
		all = append(all, e.Cause)
	}
	for _, err := range e.Failed {
		all = append(all, err)
	}
	return all
}

// ForEach calls fn once for each tenant that the filter selects, with a db whose
// context names that tenant. Tenants of a shard run in parallel (PerShard), shards
// beside each other; fn must be safe for that. Without Filter.State, tenants that
// do not serve are left out; with it, their statements are admitted in that state.
// Filter.Limit bounds the number of tenants; 0: all.
//
// A tenant that fails does not keep the others from running: the error is a
// *FleetError then. When ctx ends no further tenant is begun. ForEach returns when
// all fn have.
func ForEach(ctx context.Context, db *gorm.DB, filter registry.Filter, fn func(db *gorm.DB, t tenant.Tenant) error, opts ...FleetOption) error {
	f, err := newFleetRun(ctx, db, filter, fn, opts)
	if err != nil {
		return err
	}
	return f.run()
}

// fleetRun is one ForEach.
type fleetRun struct {
	ctx    context.Context //nolint:containedctx // one call's
	stop   context.CancelCauseFunc
	db     *gorm.DB
	reg    *registry.Registry
	filter registry.Filter
	fn     func(*gorm.DB, tenant.Tenant) error

	perShard    int
	timeout     time.Duration
	maxFailures int

	cut    atomic.Bool // tenants were left out because the context ended
	done   atomic.Int64
	mu     sync.Mutex
	failed map[tenant.ID]error
}

func newFleetRun(ctx context.Context, db *gorm.DB, filter registry.Filter, fn func(*gorm.DB, tenant.Tenant) error, opts []FleetOption) (*fleetRun, error) {
	p, ok := db.Plugins[Name].(*Plugin)
	if !ok {
		return nil, errors.New("tenantplugin: the plugin is not in use: say db.Use(tenantplugin.New())")
	}
	reg := p.Registry()
	if reg == nil {
		return nil, errors.New("tenantplugin: only a registry lists tenants, and WithDirectory replaced it")
	}
	f := &fleetRun{db: db, reg: reg, filter: filter, fn: fn, perShard: defaultPerShard, maxFailures: -1, failed: map[tenant.ID]error{}}
	for _, o := range opts {
		o(f)
	}
	if f.perShard < 1 || f.timeout < 0 {
		return nil, fmt.Errorf("tenantplugin: PerShard(%d), PerTenant(%s): want at least one tenant at a time, and no negative time", f.perShard, f.timeout)
	}
	f.ctx, f.stop = context.WithCancelCause(ctx)
	return f, nil
}

const defaultPerShard = 4

func (f *fleetRun) run() error {
	defer f.stop(nil)
	err := f.all()
	if f.cut.Load() {
		err = context.Cause(f.ctx)
	}
	if err == nil && len(f.failed) == 0 {
		return nil
	}
	return &FleetError{Done: int(f.done.Load()), Failed: f.failed, Cause: err}
}

// all runs the shards beside each other, or the few tenants of a limited filter.
func (f *fleetRun) all() error {
	if f.filter.Limit > 0 {
		page, err := f.reg.List(f.ctx, f.filter)
		if err != nil {
			return err
		}
		return f.grouped(page)
	}
	shards, err := f.reg.Shards(f.ctx)
	if err != nil {
		return err
	}
	var g errgroup.Group
	for _, s := range shards {
		if f.filter.Shard == "" || f.filter.Shard == s.Name {
			g.Go(func() error { return f.shard(s.Name) })
		}
	}
	return g.Wait()
}

// grouped runs the tenants of one page, each shard's with a bound of its own.
func (f *fleetRun) grouped(page []tenant.Tenant) error {
	groups := map[string]*errgroup.Group{}
	for _, t := range page {
		g := groups[t.Placement.Shard]
		if g == nil {
			g = f.group()
			groups[t.Placement.Shard] = g
		}
		g.Go(func() error { f.one(t); return nil })
	}
	for _, g := range groups {
		_ = g.Wait() // its functions return none
	}
	return nil
}

func (f *fleetRun) group() *errgroup.Group {
	g := &errgroup.Group{}
	g.SetLimit(f.perShard)
	return g
}

// shard runs the tenants of one shard, page by page.
func (f *fleetRun) shard(name string) error {
	filter := f.filter
	filter.Shard, filter.Limit = name, registry.MaxLimit
	g := f.group()
	defer g.Wait() //nolint:errcheck // its functions return none
	for !f.ended() {
		page, err := f.reg.List(f.ctx, filter)
		if err != nil {
			return err
		}
		for _, t := range page {
			g.Go(func() error { f.one(t); return nil })
		}
		if len(page) < filter.Limit {
			return nil
		}
		filter.After = page[len(page)-1].ID
	}
	return nil
}

// one runs fn for a tenant.
func (f *fleetRun) one(t tenant.Tenant) {
	if f.filter.State == "" && !t.State.Serves() || f.ended() {
		return
	}
	ctx, cancel := f.ctx, context.CancelFunc(func() {})
	if f.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, f.timeout)
	}
	defer cancel()
	ctx = tenant.NewContext(ctx, t.ID)
	if f.filter.State != "" {
		ctx = tenant.Admit(ctx, f.filter.State)
	}
	if err := f.fn(f.db.WithContext(ctx), t); err != nil {
		f.fail(t.ID, err)
		return
	}
	f.done.Add(1)
}

// ended reports whether no further tenant is to be begun, and remembers it.
func (f *fleetRun) ended() bool {
	if f.ctx.Err() == nil {
		return false
	}
	f.cut.Store(true)
	return true
}

func (f *fleetRun) fail(id tenant.ID, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed[id] = err
	if f.maxFailures >= 0 && len(f.failed) > f.maxFailures {
		f.stop(ErrTooManyFailures)
	}
}
