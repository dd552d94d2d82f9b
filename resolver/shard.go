package resolver

import (
	"database/sql/driver"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// downFor is how long reads avoid a replica that failed.
const downFor = time.Second

// shard holds the pools of one shard.
type shard struct {
	name     string
	login    string // whose connections they are, empty for the shard's own user
	def      tenant.Shard
	primary  *pool.Pool
	replicas []*replica
	fresh    *freshness // nil without replicas, and the shard's where there is a login
	turn     atomic.Uint32
}

// replica is a pool whose node may be down or behind.
type replica struct {
	*pool.Pool
	*standing
}

// standing is what is known of a replica's node, whoever connects to it.
type standing struct {
	downUntil atomic.Int64 // nanoseconds of the monotonic clock, see now
	watermark atomic.Int64 // everything committed before is readable here
	asking    atomic.Bool  // its position was asked for, and is not known yet
	replayed  int64        // its last known position; of who asks alone
}

// start is the zero of the package's monotonic clock.
var start = time.Now()

// now returns the monotonic nanoseconds since the package was loaded, never 0.
func now() int64 { return int64(time.Since(start)) + 1 }

func openShard(r *Router, def tenant.Shard) (*shard, error) {
	s := &shard{name: def.Name, def: def}
	err := s.open(r, func(dsn string) (driver.Connector, error) { return r.cfg.Connect(dsn, r.scope(def.Name, "")) })
	if err != nil {
		return nil, err
	}
	if len(s.replicas) > 0 {
		s.fresh = watch(s, r.cfg.MaxLag, r.cfg.Logger)
	}
	return s, nil
}

// open makes a pool for each node.
func (s *shard) open(r *Router, connect func(dsn string) (driver.Connector, error)) error {
	node := func(name, dsn string) (*pool.Pool, error) {
		connector, err := connect(dsn)
		if err != nil {
			return nil, fmt.Errorf("shard %s, %s: %w", s.name, name, err)
		}
		return r.newPool(s, name, dsn, connector), nil
	}
	var err error
	if s.primary, err = node("primary", s.def.Primary); err != nil {
		return err
	}
	for i, dsn := range s.def.Replicas {
		p, err := node(fmt.Sprintf("replica-%d", i), dsn)
		if err != nil {
			return err
		}
		s.replicas = append(s.replicas, &replica{p, &standing{}})
	}
	return nil
}

func (s *shard) nodes() []*pool.Pool {
	all := []*pool.Pool{s.primary}
	for _, r := range s.replicas {
		all = append(all, r.Pool)
	}
	return all
}

func (s *shard) close() {
	if s.fresh != nil && s.login == "" {
		s.fresh.stop()
	}
	for _, n := range s.nodes() {
		n.Close()
	}
}

// reader returns a replica that is up and fresh enough for owner, in turn, or
// nil.
func (s *shard) reader(owner string) *replica {
	if s.fresh == nil {
		return nil
	}
	needed := s.fresh.needed(owner)
	first := int(s.turn.Add(1))
	for i := range s.replicas {
		r := s.replicas[(first+i)%len(s.replicas)]
		if r.downUntil.Load() < now() && r.watermark.Load() > needed {
			return r
		}
	}
	return nil
}

// wrote notes that owner may have changed something that is now committed.
func (s *shard) wrote(owner string) {
	if s.fresh != nil {
		s.fresh.wrote(owner)
	}
}

// avoid keeps reads away for a while.
func (r *replica) avoid() {
	r.watermark.Store(0)
	r.downUntil.Store(now() + int64(downFor))
}
