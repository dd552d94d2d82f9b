package migrations

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	pageSize = 5_000
	// cleanup bounds what is done after the caller's context has ended.
	cleanup = 30 * time.Second
)

// Run brings the tenants of a fleet to one version; see the package comment for
// what it promises. Any number of runs may work on a fleet at the same time.
//
// The error is a *PartialError unless every tenant that serves or is suspended
// was brought there. The report is nil only if the run could not begin. When ctx ends, no further tenant is begun,
// and those under way are cancelled on the server and their answers awaited.
func Run(ctx context.Context, fleet Fleet, set *Set, opts Options) (*Report, error) {
	opts, err := opts.withDefaults(set)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	r := &run{caller: ctx, fleet: fleet, set: set, opts: opts, report: newReport(opts), shards: map[string]*shard{}}
	begun := time.Now()
	all, err := r.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	r.report.Total = len(all)
	var stop context.CancelCauseFunc
	r.ctx, stop = context.WithCancelCause(ctx)
	defer stop(nil)
	r.stop = stop
	if len(all) > 0 {
		err = r.all(all)
	}
	r.report.Duration = time.Since(begun)
	return r.report, r.verdict(err)
}

// run is one Run under way.
type run struct {
	// caller's context ends statements that run. ctx ends with it, and when no
	// further tenant is to be begun.
	caller, ctx context.Context //nolint:containedctx // one call's
	stop        context.CancelCauseFunc
	fleet       Fleet
	set         *Set
	opts        Options
	// shards are entered before goroutines use them.
	shards map[string]*shard

	// mu guards the report, and orders the calls of Observe.
	mu      sync.Mutex
	report  *Report
	leftOut bool
	unsaved error // why the registry was not told
}

// ended reports whether no further tenant is to be begun. A statement may hear of the
// caller's end before ctx, its child, does.
func (r *run) ended() bool { return r.ctx.Err() != nil || r.caller.Err() != nil }

// list returns the tenants that are not at the target.
func (r *run) list(ctx context.Context) ([]tenant.Tenant, error) {
	q := Lag{Version: r.opts.Target, Above: r.opts.Down, AfterVersion: -1, Limit: pageSize}
	var all []tenant.Tenant
	for {
		page, err := r.fleet.Lagging(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, t := range page {
			if r.opts.Only == nil || r.opts.Only(t) {
				all = append(all, t)
			}
		}
		if len(page) < q.Limit {
			return all, nil
		}
		last := page[len(page)-1]
		q.AfterVersion, q.After = last.Version, last.ID
	}
}

// all runs the rings.
func (r *run) all(tenants []tenant.Tenant) error {
	defer r.close()
	var err error
	for _, ring := range r.opts.partition(tenants) {
		if err == nil {
			err = context.Cause(r.ctx)
		}
		if err != nil {
			r.giveUp(ring.tenants)
			continue
		}
		err = r.ring(ring)
	}
	if err == nil {
		err = context.Cause(r.ctx)
	}
	return err
}

// ring runs the shards of a ring beside each other.
func (r *run) ring(ring ring) error {
	jobs := map[string][]*job{}
	for _, t := range ring.tenants {
		jobs[t.Placement.Shard] = append(jobs[t.Placement.Shard], &job{id: t.ID, shard: t.Placement.Shard, ring: ring.name})
	}
	for name := range jobs {
		if r.shards[name] == nil {
			r.shards[name] = &shard{run: r, name: name}
		}
	}
	var g errgroup.Group
	for name, jobs := range jobs {
		g.Go(func() error { return r.shards[name].all(jobs) })
	}
	return g.Wait()
}

func (r *run) giveUp(tenants []tenant.Tenant) {
	for _, t := range tenants {
		r.end(&job{id: t.ID, shard: t.Placement.Shard}, Unreached, nil)
	}
}

func (r *run) close() {
	for _, s := range r.shards {
		s.close()
	}
}

// end enters a tenant's outcome.
func (r *run) end(j *job, outcome Outcome, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rep := r.report
	rep.Counts[outcome]++
	if rep.Shards[j.shard] == nil {
		rep.Shards[j.shard] = Counts{}
	}
	rep.Shards[j.shard][outcome]++
	switch outcome {
	case Migrated:
		rep.From[j.from]++
	case Failed:
		rep.Failed[j.id] = err
		if r.opts.MaxFailures >= 0 && len(rep.Failed) > r.opts.MaxFailures {
			r.stop(ErrBudget)
		}
	}
	if r.opts.Observe != nil && outcome != Unreached {
		r.opts.Observe(Progress{
			Tenant: j.id, Shard: j.shard, Ring: j.ring, Outcome: outcome, Err: err,
			Done: rep.Done(), Failed: len(rep.Failed), Skipped: rep.Counts[Skipped], Total: rep.Total,
		})
	}
}

// skip enters a tenant that is left as it is. leftOut is whether it would have
// to be migrated.
func (r *run) skip(j *job, reason string, leftOut bool) {
	r.mu.Lock()
	r.report.Skipped[j.id] = reason
	r.leftOut = r.leftOut || leftOut
	r.mu.Unlock()
	r.end(j, Skipped, nil)
}

func (r *run) verdict(err error) error {
	if r.unsaved != nil {
		err = errors.Join(err, fmt.Errorf("%w: %w", ErrNotRecorded, r.unsaved))
	}
	if err == nil && r.leftOut {
		err = ErrLeftOut
	}
	if err == nil && len(r.report.Failed) == 0 {
		return nil
	}
	return &PartialError{Report: r.report, Cause: err}
}
