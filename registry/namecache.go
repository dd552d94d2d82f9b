package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	gocache "github.com/patrickmn/go-cache"
	"golang.org/x/sync/singleflight"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// maxNames bounds the names that are remembered.
const maxNames = 100_000

// nameCache remembers where names lead. Names change rarely, so that any change
// of one forgets all.
type nameCache struct {
	entries  *gocache.Cache // leads, by kind and name
	negative *gocache.Cache // what leads nowhere; bounded like the cache's
	ttl      time.Duration
	staleFor time.Duration
	// flight is replaced when the cache is flushed, so that no later caller
	// joins a question asked before.
	flight atomic.Pointer[singleflight.Group]

	// mu makes "compare gen, then store" one step against "count gen up, then
	// forget".
	mu  sync.Mutex
	gen uint64
}

// lead is where a name leads.
type lead struct {
	id    tenant.ID // empty: nowhere
	until time.Time // it is believed so long; after that only while nobody can be asked
}

func newNameCache(cfg Config) *nameCache {
	c := &nameCache{
		entries: gocache.New(cfg.TTL+cfg.StaleFor, 0), negative: gocache.New(cfg.NegativeTTL, 0),
		ttl: cfg.TTL, staleFor: cfg.StaleFor,
	}
	c.flight.Store(&singleflight.Group{})
	return c
}

// get returns what is remembered, and whether it is believed.
func (c *nameCache) get(key string) (l lead, fresh bool) {
	if v, ok := c.entries.Get(key); ok {
		l = v.(lead)
		return l, time.Now().Before(l.until)
	}
	_, fresh = c.negative.Get(key)
	return lead{}, fresh
}

func (c *nameCache) now() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gen
}

// store remembers a lead unless something was forgotten since gen. Beyond the
// bound it does not: the answer is right either way.
func (c *nameCache) store(key string, id tenant.ID, gen uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.gen != gen:
		return
	case id == "":
		c.entries.Delete(key)
		if c.negative.ItemCount() < maxNegative {
			c.negative.SetDefault(key, true)
		}
		return
	case c.entries.ItemCount() >= maxNames:
		return
	}
	ttl := jittered(c.ttl)
	c.entries.Set(key, lead{id, time.Now().Add(ttl)}, ttl+c.staleFor)
}

func (c *nameCache) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	c.entries.Flush()
	c.negative.Flush()
	c.flight.Store(&singleflight.Group{})
}

// LookupName returns the tenant that a name leads to, from memory as Lookup does.
// The error wraps ErrInvalidName, tenant.ErrUnknown or tenant.ErrUnavailable.
func (r *Registry) LookupName(ctx context.Context, n Name) (tenant.Tenant, error) {
	key := n.kind + ":" + n.text
	l, fresh := r.byName.get(key)
	if !fresh {
		var err error
		if l, err = r.askName(ctx, n, key, l); err != nil {
			return tenant.Tenant{}, err
		}
	}
	if l.id == "" {
		return tenant.Tenant{}, fmt.Errorf("%s: %w", n, tenant.ErrUnknown)
	}
	return r.Lookup(ctx, l.id)
}

// LookupHost is LookupName(Host(host)), for middleware.Host: what is no host name at all
// is tenant.ErrUnknown too.
func (r *Registry) LookupHost(ctx context.Context, host string) (tenant.Tenant, error) {
	t, err := r.LookupName(ctx, Host(host))
	if errors.Is(err, ErrInvalidName) {
		err = fmt.Errorf("%w: %w", tenant.ErrUnknown, err)
	}
	return t, err
}

// askName asks the control plane once for all who wait; stale is what serves if it
// cannot be asked.
func (r *Registry) askName(ctx context.Context, n Name, key string, stale lead) (lead, error) {
	if err := n.check(); err != nil {
		return lead{}, err
	}
	answer := r.byName.flight.Load().DoChan(key, func() (any, error) { return r.flyName(ctx, n, key) })
	select {
	case a := <-answer:
		if a.Err != nil && stale.id != "" && errors.Is(a.Err, tenant.ErrUnavailable) {
			r.log.WarnContext(ctx, "tenant registry is unavailable, serving a remembered name", "name", n, "error", a.Err)
			return stale, nil
		}
		l, _ := a.Val.(lead)
		return l, a.Err
	case <-ctx.Done():
		return lead{}, failed(ctx, "look up "+n.String(), ctx.Err())
	}
}

func (r *Registry) flyName(ctx context.Context, n Name, key string) (lead, error) {
	if !r.begin() {
		return lead{}, errClosed
	}
	defer r.flights.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.QueryTimeout)
	defer cancel()
	defer context.AfterFunc(r.done, cancel)()
	gen := r.byName.now()
	var id tenant.ID
	err := r.questions.QueryRow(ctx, r.sql.byName, n.kind, n.text).Scan(&id)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return lead{}, failed(context.WithoutCancel(ctx), "look up "+n.String(), err)
	}
	r.byName.store(key, id, gen)
	return lead{id: id}, nil
}
