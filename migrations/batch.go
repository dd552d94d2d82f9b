package migrations

import (
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// batchRun is a batch under way.
type batchRun struct {
	*shard
	retry bool

	lists    sync.Mutex // guards again and versions
	again    []*job
	versions map[tenant.ID]int64
}

// run runs the tenants that are held, and sorts out the others.
func (b *batchRun) run(jobs []*job, held Held) {
	now := make(map[tenant.ID]tenant.Tenant, len(held.Tenants))
	for _, t := range held.Tenants {
		now[t.ID] = t
	}
	var g errgroup.Group
	g.SetLimit(b.opts.PerShard)
	for _, j := range jobs {
		t, ok := now[j.id]
		switch {
		case slices.Contains(held.Gone, j.id):
			b.skip(j, "it was deleted meanwhile", false)
		case !ok:
			b.later(j, nil)
		case b.ended():
			b.end(j, Unreached, nil)
		default:
			_ = b.pace.Wait(b.ctx) // who is late finds the run ended
			g.Go(func() error { b.one(j, t); return nil })
		}
	}
	_ = g.Wait() // its functions return none
}

// later puts a tenant off. A nil cause is that somebody else works on it.
func (b *batchRun) later(j *job, cause error) {
	switch {
	case b.retry:
		j.cause = cause
		b.lists.Lock()
		b.again = append(b.again, j)
		b.lists.Unlock()
	case cause == nil:
		b.skip(j, "it is busy: another process works on it", true)
	default:
		b.end(j, Failed, cause)
	}
}

// one runs a tenant, unless its state or its place forbid.
func (b *batchRun) one(j *job, t tenant.Tenant) {
	switch {
	case b.ended():
		b.end(j, Unreached, nil)
	case t.Placement.Shard != b.name:
		b.skip(j, "it was moved to shard "+t.Placement.Shard+" meanwhile", true)
	case t.State == tenant.StateMoving:
		b.skip(j, "it is being moved", true)
	case t.State == tenant.StateProvisioning:
		b.skip(j, "it is being provisioned", false)
	case t.State == tenant.StateActive || t.State == tenant.StateSuspended || t.State == tenant.StateSpare:
		b.migrate(j, t)
	default:
		b.skip(j, "it is "+string(t.State), false)
	}
}
