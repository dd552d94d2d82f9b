package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// shardCache remembers all shards together: they are few.
type shardCache struct {
	snap atomic.Pointer[snapshot]
	// loading is held while the shards are read, so that snapshots follow
	// each other in the order of their reads. It is a channel so that a
	// waiter can give up. No watcher is called while it is held.
	loading chan struct{}

	// mu guards watchers and next. Watchers are called without it.
	mu       sync.Mutex
	watchers map[int]func(name string)
	next     int
}

// snapshot is never changed, but for expires.
type snapshot struct {
	shards  map[string]tenant.Shard
	asked   time.Time    // its read began then
	expires atomic.Int64 // Unix nanoseconds
}

func newShardCache() *shardCache {
	return &shardCache{loading: make(chan struct{}, 1), watchers: map[int]func(string){}}
}

func (s *snapshot) fresh() bool { return time.Now().UnixNano() < s.expires.Load() }

// Shard returns a shard from memory. Its Replicas are shared: do not change
// them. The error wraps tenant.ErrUnknownShard or tenant.ErrUnavailable.
func (r *Registry) Shard(ctx context.Context, name string) (tenant.Shard, error) {
	if s := r.shards.snap.Load(); s != nil && s.fresh() {
		if sh, ok := s.shards[name]; ok {
			return sh, nil
		}
	}
	// A shard that is not in memory may be new: a tenant's row can tell of it
	// before its notification is here.
	s, err := r.shardsSince(ctx, time.Now())
	if err != nil {
		return r.staleShard(ctx, name, err)
	}
	sh, ok := s.shards[name]
	if !ok {
		return tenant.Shard{}, unknownShard(name)
	}
	return sh, nil
}

// staleShard serves what is remembered while the control plane is down.
func (r *Registry) staleShard(ctx context.Context, name string, cause error) (tenant.Shard, error) {
	s := r.shards.snap.Load()
	if s == nil || !errors.Is(cause, tenant.ErrUnavailable) || time.Since(s.asked) > r.cfg.TTL+r.cfg.StaleFor {
		return tenant.Shard{}, cause
	}
	sh, ok := s.shards[name]
	if !ok {
		return tenant.Shard{}, cause
	}
	s.expires.Store(time.Now().Add(jittered(r.cfg.NegativeTTL)).UnixNano())
	r.log.WarnContext(ctx, "tenant registry is unavailable, serving remembered shards", "error", cause)
	return sh, nil
}

// rememberedShards returns all shards from memory, by name, if it is believed.
func (r *Registry) rememberedShards(ctx context.Context) ([]tenant.Shard, error) {
	if s := r.shards.snap.Load(); s != nil && s.fresh() {
		return s.sorted(), nil
	}
	return r.Shards(ctx)
}

// Shards returns all shards as the control plane has them now, by name.
func (r *Registry) Shards(ctx context.Context) ([]tenant.Shard, error) {
	s, err := r.shardsSince(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	return s.sorted(), nil
}

func (s *snapshot) sorted() []tenant.Shard {
	all := make([]tenant.Shard, 0, len(s.shards))
	for _, name := range slices.Sorted(maps.Keys(s.shards)) {
		all = append(all, clone(s.shards[name]))
	}
	return all
}

// OnShardChange calls fn with a shard's name after the shard was added,
// changed or removed, by whatever process, until cancel is called. fn must not
// block, which delays the news for others, nor close the registry. Shard answers anew before fn is called.
func (r *Registry) OnShardChange(fn func(name string)) (cancel func()) {
	c := r.shards
	c.mu.Lock()
	defer c.mu.Unlock()
	key := c.next
	c.next++
	c.watchers[key] = fn
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watchers, key)
	}
}

// shardsSince returns a snapshot whose read began after since.
func (r *Registry) shardsSince(ctx context.Context, since time.Time) (*snapshot, error) {
	c := r.shards
	select {
	case c.loading <- struct{}{}:
	case <-ctx.Done():
		return nil, failed(ctx, "read the shards", ctx.Err())
	}
	old := c.snap.Load()
	if old != nil && old.asked.After(since) {
		<-c.loading
		return old, nil
	}
	s, err := r.readShards(ctx)
	if err == nil {
		c.snap.Store(s)
	}
	<-c.loading
	if err == nil && old != nil {
		if names := changes(old, s); len(names) > 0 {
			r.forgetShards(s.shards)
			c.tell(names)
		}
	}
	return s, err
}

func (r *Registry) readShards(ctx context.Context) (*snapshot, error) {
	query, cancel := context.WithTimeout(ctx, r.cfg.QueryTimeout)
	defer cancel()
	s := &snapshot{asked: time.Now()}
	rows, err := r.questions.Query(query, r.sql.shards)
	if err == nil {
		s.shards, err = r.collectShards(rows)
	}
	if err != nil {
		return nil, failed(ctx, "read the shards", err)
	}
	s.expires.Store(s.asked.Add(jittered(r.cfg.TTL)).UnixNano())
	return s, nil
}

func (r *Registry) collectShards(rows pgx.Rows) (map[string]tenant.Shard, error) {
	shards := map[string]tenant.Shard{}
	var s tenant.Shard
	_, err := pgx.ForEachRow(rows, []any{&s.Name, &s.Region, &s.Primary, &s.Replicas}, func() error {
		if s.Primary == "" {
			s.Primary = r.conn.ConnString()
		}
		shards[s.Name] = s
		s.Replicas = nil
		return nil
	})
	return shards, err
}

// refreshShards reads the shards again after a change. If that fails, whoever
// needs them next does it.
func (r *Registry) refreshShards(ctx context.Context) {
	now := time.Now()
	if _, err := r.shardsSince(ctx, now); err != nil {
		if s := r.shards.snap.Load(); s != nil {
			s.expires.Store(0)
		}
		if ctx.Err() == nil {
			r.log.WarnContext(ctx, "tenant registry could not read the shards", "error", err)
		}
	}
}

func (c *shardCache) tell(names []string) {
	c.mu.Lock()
	watchers := slices.Collect(maps.Values(c.watchers))
	c.mu.Unlock()
	for _, name := range names {
		for _, fn := range watchers {
			fn(name)
		}
	}
}

// changes returns the names of the shards that differ, in order.
func changes(from, to *snapshot) []string {
	names := map[string]bool{}
	for name, s := range from.shards {
		if other, ok := to.shards[name]; !ok || !equal(s, other) {
			names[name] = true
		}
	}
	for name := range to.shards {
		if _, ok := from.shards[name]; !ok {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func equal(a, b tenant.Shard) bool {
	return a.Name == b.Name && a.Region == b.Region && a.Primary == b.Primary && slices.Equal(a.Replicas, b.Replicas)
}

func clone(s tenant.Shard) tenant.Shard {
	s.Replicas = slices.Clone(s.Replicas)
	return s
}

func unknownShard(name string) error {
	return fmt.Errorf("shard %.64q: %w", name, tenant.ErrUnknownShard)
}
