package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// format is the number of the encoding of shared. It counts up with every
// change of tenant.Tenant, because processes of both versions run for a while.
const format = 2

const (
	// tenantKey begins a tenant's key.
	tenantKey = "t:"
	// leaseSlack is what a question takes besides its query.
	leaseSlack = time.Second
)

// shared is the level of memory that processes share.
type shared struct {
	cache      Cache
	unreadable atomic.Uint64
}

// stored is what shared holds of a tenant.
type stored struct {
	Format int
	Tenant tenant.Tenant
}

func encode(t *tenant.Tenant) ([]byte, error) { return json.Marshal(stored{format, *t}) }

// decode reads what encode wrote of id. It is believed as little as a row is.
func decode(id tenant.ID, value []byte) (*tenant.Tenant, error) {
	var v stored
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("read the shared value of tenant %s: %w", id, err)
	}
	t := &v.Tenant
	_, stateErr := tenant.ParseState(string(t.State))
	switch {
	case d.More():
		return nil, fmt.Errorf("shared value of tenant %s: more than one", id)
	case v.Format != format:
		return nil, fmt.Errorf("shared value of tenant %s: format %d, want %d", id, v.Format, format)
	case t.ID != id:
		return nil, fmt.Errorf("shared value of tenant %s: it is another's: %w", id, tenant.ErrInvalidID)
	case t.Placement.Shard == "":
		return nil, fmt.Errorf("shared value of tenant %s: no shard", id)
	}
	return t, errors.Join(stateErr, check(t))
}

// get asks the shared level about id. Where it knows nothing, lease is for
// offer.
func (s *shared) get(ctx context.Context, id tenant.ID) (t *tenant.Tenant, left time.Duration, lease string) {
	if s == nil {
		return nil, 0, ""
	}
	got := s.cache.Get(ctx, tenantKey+string(id))
	if got.Value == nil {
		return nil, 0, got.Lease
	}
	t, err := decode(id, got.Value)
	if err != nil {
		s.unreadable.Add(1)
		return nil, 0, ""
	}
	return t, got.Left, ""
}

// offer tells the shared level what the control plane said of id, nil for
// unknown: who sends requests can invent as many of these as they like.
func (s *shared) offer(id tenant.ID, t *tenant.Tenant, lease string) {
	if s == nil || lease == "" {
		return
	}
	var value []byte
	if t != nil {
		var err error
		if value, err = encode(t); err != nil {
			return // a time out of JSON's range, which only memory holds then
		}
	}
	s.cache.Put(tenantKey+string(id), lease, value)
}

func (s *shared) invalidate(id tenant.ID, announce bool) {
	if s != nil {
		s.cache.Invalidate(tenantKey+string(id), announce)
	}
}

func (s *shared) flush() {
	if s != nil {
		s.cache.Flush()
	}
}

// openShared opens Config.Cache, if there is one.
func (r *Registry) openShared(ctx context.Context) error {
	if r.cfg.Cache == nil {
		return nil
	}
	namespace, err := r.namespace(ctx)
	if err != nil {
		return err
	}
	err = r.cfg.Cache.Open(ctx, CacheConfig{
		Namespace: namespace,
		TTL:       r.cfg.TTL,
		Lease:     r.cfg.QueryTimeout + leaseSlack,
		Logger:    r.log,
		Heard:     r.heard,
	})
	if err != nil {
		return fmt.Errorf("registry.Config.Cache: %w", err)
	}
	r.shared = &shared{cache: r.cfg.Cache}
	return nil
}

// heard forgets what another process announced. That process has told the
// shared level already.
func (r *Registry) heard(key string) {
	if id, ok := strings.CutPrefix(key, tenantKey); ok {
		r.cache.invalidate(tenant.ID(id))
	}
}

// namespace names the control plane by its schema, and by what tells its
// database from every other whatever way leads there: when the control plane
// was made, to the microsecond, and the server's own address. A restored copy
// on another server is another control plane.
func (r *Registry) namespace(ctx context.Context) (string, error) {
	var print string
	err := r.questions.QueryRow(ctx, r.sql.fingerprint, r.cfg.Schema).Scan(&print)
	if err != nil {
		return "", failed(ctx, "identify the control database", err)
	}
	sum := sha256.Sum256([]byte(print))
	return fmt.Sprintf("%s:%s:%d", r.cfg.Schema, hex.EncodeToString(sum[:8]), format), nil
}

// forget makes both levels forget a tenant that this process has changed.
// Other processes hear of it; this one does not wait for that.
func (r *Registry) forget(id tenant.ID) {
	r.shared.invalidate(id, true)
	r.cache.invalidate(id)
}
