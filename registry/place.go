package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/gormtenancy/gormtenancy/internal/ring"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// place chooses the shard of a new tenant, among those that are remembered: one
// that was removed meanwhile is refused when the tenant's row is entered.
func (r *Registry) place(ctx context.Context, rec *record, spec tenant.Spec) error {
	shards, err := r.rememberedShards(ctx)
	if err == nil {
		err = r.placeAmong(shards, rec, spec)
	}
	if !errors.Is(err, ErrNoShard) && !errors.Is(err, tenant.ErrUnknownShard) {
		return err
	}
	if shards, err = r.Shards(ctx); err != nil { // it may be new
		return err
	}
	return r.placeAmong(shards, rec, spec)
}

func (r *Registry) placeAmong(shards []tenant.Shard, rec *record, spec tenant.Spec) error {
	var err error
	var s tenant.Shard
	if spec.Shard != "" {
		s, err = named(shards, spec)
	} else {
		if spec.Region == "" {
			spec.Region = *r.region.Load()
		}
		s, err = r.proposed(shards, spec)
	}
	if err != nil {
		return err
	}
	rec.Placement = tenant.Placement{Shard: s.Name, Region: s.Region, Epoch: 1}
	return nil
}

func named(shards []tenant.Shard, spec tenant.Spec) (tenant.Shard, error) {
	for _, s := range shards {
		if s.Name != spec.Shard {
			continue
		}
		if spec.Region != "" && spec.Region != s.Region {
			return tenant.Shard{}, fmt.Errorf("%w: shard %s is in region %q, not in %.64q", ErrNoShard, s.Name, s.Region, spec.Region)
		}
		return s, nil
	}
	return tenant.Shard{}, unknownShard(spec.Shard)
}

func (r *Registry) proposed(shards []tenant.Shard, spec tenant.Spec) (tenant.Shard, error) {
	byName := map[string]tenant.Shard{}
	var names []string
	for _, s := range shards {
		if spec.Region == "" || s.Region == spec.Region {
			byName[s.Name] = s
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 {
		if spec.Region != "" {
			return tenant.Shard{}, fmt.Errorf("%w: none of %d is in region %.64q", ErrNoShard, len(shards), spec.Region)
		}
		return tenant.Shard{}, ErrNoShard
	}
	hash, err := r.rings.of(names)
	if err != nil {
		return tenant.Shard{}, fmt.Errorf("%w: name one in Spec.Shard: %w", ErrNoShard, err)
	}
	return byName[hash.Propose(string(spec.ID))], nil
}

// rings remembers the last ring: to make one takes milliseconds.
type rings struct{ last atomic.Pointer[knownRing] }

type knownRing struct {
	names []string
	ring  *ring.Ring
}

func (r *rings) of(names []string) (*ring.Ring, error) {
	if k := r.last.Load(); k != nil && slices.Equal(k.names, names) {
		return k.ring, nil
	}
	hash, err := ring.New(names)
	if err == nil {
		r.last.Store(&knownRing{names, hash})
	}
	return hash, err
}

// adoptionShard returns the shard of a schema that exists already, which no
// hash can know: the one that was named, the only one, or the home shard.
func (r *Registry) adoptionShard(ctx context.Context, spec tenant.Spec) (string, error) {
	if spec.Shard != "" {
		return spec.Shard, nil
	}
	shards, err := r.Shards(ctx)
	if err != nil {
		return "", err
	}
	home := func(s tenant.Shard) bool { return s.Name == r.cfg.HomeShard }
	switch {
	case len(shards) == 0:
		return "", ErrNoShard
	case len(shards) == 1:
		return shards[0].Name, nil
	case slices.ContainsFunc(shards, home):
		return r.cfg.HomeShard, nil
	}
	return "", fmt.Errorf("there are %d shards: say in Spec.Shard where the schema is", len(shards))
}
