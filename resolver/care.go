package resolver

import (
	"context"
	"database/sql/driver"
	"net"
	"strconv"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pgdsn"
	"github.com/gormtenancy/gormtenancy/internal/pool"
)

// newPool makes the pool of one node of a shard.
func (r *Router) newPool(s *shard, node, dsn string, connector driver.Connector) *pool.Pool {
	cfg := pool.Config{
		Shard: s.name, Node: node, Login: s.login, Connector: connector, Budget: r.budget, Logger: r.cfg.Logger,
		MaxConns: r.cfg.MaxConns, MaxTenants: r.cfg.MaxTenants, MaxWaiting: r.cfg.MaxWaiting, LaneConns: r.cfg.LaneConns,
		MaxAge: r.cfg.MaxAge, MaxIdle: r.cfg.MaxIdle, SlowAcquire: r.cfg.SlowAcquire, LeakAfter: r.cfg.LeakAfter,
	}
	if r.cfg.MaxPerServer > 0 {
		cfg.Server = serverOf(dsn)
	}
	return pool.New(cfg)
}

// serverOf tells a DSN's server. Those that cannot be read count as one.
func serverOf(dsn string) string {
	conf, err := pgdsn.Parse(dsn)
	if err != nil {
		return ""
	}
	return net.JoinHostPort(conf.Host, strconv.Itoa(int(conf.Port)))
}

// each calls fn for every open pool.
func (r *Router) each(fn func(*pool.Pool)) {
	for _, s := range *r.shards.Load() {
		for _, n := range s.nodes() {
			fn(n)
		}
	}
}

// The janitor's pace: a fifth of the shortest time that it watches, between these.
const (
	minCare = 10 * time.Millisecond
	maxCare = 30 * time.Second
)

// care is the janitor's loop.
func (r *Router) care(ctx context.Context) {
	tick := time.NewTicker(r.pace())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			r.runOnce(now)
		}
	}
}

func (r *Router) pace() time.Duration {
	shortest := 5 * maxCare
	for _, d := range []time.Duration{r.cfg.MaxIdle, r.cfg.MaxAge, r.cfg.LeakAfter} {
		if d > 0 {
			shortest = min(shortest, d)
		}
	}
	return max(shortest/5, minCare)
}

// runOnce closes what idles for too long or is too old, and reports leaks.
func (r *Router) runOnce(now time.Time) {
	r.each(func(p *pool.Pool) {
		p.ReportLeaks(now)
		p.Sweep(now)
	})
}

// Holder is somebody who has held a connection for long.
type Holder = pool.Holder

// Leaks returns who has held a connection for longer than Config.LeakAfter: rows that
// were not closed, transactions that were not ended, a sql.Conn that was not given back.
func (r *Router) Leaks() (all []Holder) {
	now := time.Now()
	r.each(func(p *pool.Pool) { all = append(all, p.Leaks(now)...) })
	return all
}

// PoolStats is a snapshot of one node's connection pool.
type PoolStats = pool.Stats

// Stats returns a snapshot of every open pool.
func (r *Router) Stats() []PoolStats {
	var all []PoolStats
	r.each(func(p *pool.Pool) { all = append(all, p.Stats()) })
	return all
}

// retire follows the application's own pool settings: the handle closed a
// virtual connection that was opened at created, so each pool lets go of those
// that the handle could not use at once. If it closed it for its age, or because
// it was idle for too long, each pool also lets go of one that is as old.
func (r *Router) retire(created time.Time) {
	keep := int(r.virtual.Load())
	oldest := time.Time{}
	if h := r.handle.Load(); h != nil {
		s := h.Stats()
		if aged := s.MaxLifetimeClosed + s.MaxIdleTimeClosed; r.aged.Swap(aged) < aged {
			oldest = created
		}
	}
	r.each(func(p *pool.Pool) { p.Trim(max(keep, 1), oldest) })
}
