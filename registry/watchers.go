package registry

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// watchers are functions that want to know what this registry does to schemas.
type watchers struct {
	mu   sync.Mutex // fn is called without it
	fns  map[int]func(context.Context, tenant.Tenant)
	next int
}

// OnSchemaChange calls fn after this registry, not another process's, has made a
// tenant, renamed it or its schema, restored it or migrated it, until cancel is called.
// Replicas of its shard may not have heard of it, or of what it wrote under its old ID.
// fn must not block.
func (r *Registry) OnSchemaChange(fn func(ctx context.Context, t tenant.Tenant)) (cancel func()) {
	w := &r.writers
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fns == nil {
		w.fns = map[int]func(context.Context, tenant.Tenant){}
	}
	key := w.next
	w.next++
	w.fns[key] = fn
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.fns, key)
	}
}

func (w *watchers) tell(ctx context.Context, t tenant.Tenant) {
	w.mu.Lock()
	fns := slices.Collect(maps.Values(w.fns))
	w.mu.Unlock()
	for _, fn := range fns {
		fn(ctx, t)
	}
}
