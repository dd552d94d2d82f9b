package resolver

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
	"github.com/gormtenancy/gormtenancy/internal/service"
)

// The pace of sampling: while a write waits to arrive on the replicas, and
// otherwise.
const (
	busyPace  = 10 * time.Millisecond
	idlePace  = time.Second
	keepFor   = time.Second // how long a sample of the primary is of use
	askWithin = 2 * time.Second
)

const (
	primaryLSN = "select (pg_catalog.pg_current_wal_flush_lsn() - '0/0'::pg_catalog.pg_lsn)::pg_catalog.int8"
	replicaLSN = "select (pg_catalog.pg_last_wal_replay_lsn() - '0/0'::pg_catalog.pg_lsn)::pg_catalog.int8"
)

// freshness knows, without a round trip per statement, which replicas have
// replayed a tenant's last write of this process. It samples the primary's
// position with the time just before the question; a replica that has
// replayed a sample's position shows every write that returned before that
// time.
type freshness struct {
	shard  *shard
	maxLag time.Duration
	log    *slog.Logger
	group  service.Group
	poke   chan struct{} // a write happened

	mu      sync.Mutex
	writes  map[string]int64 // owner -> when its last write returned
	newest  int64            // the newest of writes
	samples []sample         // of the loop alone
}

type sample struct{ at, lsn int64 }

func watch(s *shard, maxLag time.Duration, log *slog.Logger) *freshness {
	f := &freshness{shard: s, maxLag: maxLag, log: log, poke: make(chan struct{}, 1), writes: map[string]int64{}}
	// A fresh group cannot have been started before.
	_ = f.group.Start(context.TODO(), f.loop)
	return f
}

func (f *freshness) stop() { f.group.Stop() }

// needed returns the watermark that a replica must exceed to serve owner.
func (f *freshness) needed(owner string) int64 {
	f.mu.Lock()
	last := f.writes[owner]
	f.mu.Unlock()
	return max(last, now()-int64(f.maxLag), 0)
}

func (f *freshness) wrote(owner string) {
	f.mu.Lock()
	f.newest = now()
	f.writes[owner] = f.newest
	f.mu.Unlock()
	select {
	case f.poke <- struct{}{}:
	default:
	}
}

func (f *freshness) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-f.poke:
		}
		pace := idlePace
		if !f.runOnce(ctx) {
			pace = busyPace
		}
		timer.Reset(pace)
		if pace == busyPace {
			f.pause(ctx, timer)
			timer.Reset(0)
		}
	}
}

// pause waits for the timer alone: more writes do not quicken the pace.
func (f *freshness) pause(ctx context.Context, timer *time.Timer) {
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// runOnce samples the primary and each replica that is not known to be down,
// and reports whether all of these have caught up with the newest write.
func (f *freshness) runOnce(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(system(ctx), askWithin)
	defer cancel()
	at := now()
	lsn, err := ask(ctx, f.shard.primary, primaryLSN)
	if err != nil {
		return true // reads go to the primary, and will say what is wrong
	}
	f.remember(sample{at, lsn})
	settled := true
	for _, r := range f.shard.replicas {
		if r.downUntil.Load() > now() {
			continue
		}
		replayed, err := ask(ctx, r.Pool, replicaLSN)
		if err != nil {
			if !errors.Is(err, context.Canceled) && !errors.Is(err, pool.ErrClosed) {
				f.log.Warn("replica does not answer, its reads go to the primary",
					"shard", r.Shard(), "node", r.Node(), "cause", err)
			}
			r.avoid()
			continue
		}
		mark := f.mark(replayed)
		if mark > r.watermark.Load() {
			r.watermark.Store(mark)
		}
		settled = settled && f.settled(r.watermark.Load())
	}
	return settled
}

// remember keeps a sample for as long as it can serve.
func (f *freshness) remember(s sample) {
	if n := len(f.samples); n > 0 && f.samples[n-1].lsn > s.lsn {
		// The position went back: another timeline. Nothing known holds.
		f.samples = f.samples[:0]
		for _, r := range f.shard.replicas {
			r.watermark.Store(0)
		}
	}
	old := 0
	for old < len(f.samples)-1 && f.samples[old+1].at < s.at-int64(keepFor) {
		old++
	}
	f.samples = append(f.samples[:copy(f.samples, f.samples[old:])], s)
}

// mark returns the time of the newest sample that lsn covers, 0 if none.
func (f *freshness) mark(lsn int64) int64 {
	for i := len(f.samples) - 1; i >= 0; i-- {
		if f.samples[i].lsn <= lsn {
			return f.samples[i].at
		}
	}
	return 0
}

// settled reports whether mark covers all writes, and forgets those that it
// covers on every replica.
func (f *freshness) settled(mark int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if mark <= f.newest {
		return false
	}
	for _, r := range f.shard.replicas {
		if r.watermark.Load() <= f.newest {
			return true
		}
	}
	clear(f.writes)
	return true
}

// ask runs a query of one number on a node.
func ask(ctx context.Context, p *pool.Pool, query string) (int64, error) {
	c, err := p.Acquire(ctx, "system")
	if err != nil {
		return 0, err
	}
	defer c.Release()
	rows, err := c.QueryContext(ctx, query, nil)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	cell := make([]driver.Value, 1)
	if err := rows.Next(cell); err != nil {
		return 0, err
	}
	n, ok := cell[0].(int64)
	if !ok {
		return 0, fmt.Errorf("node %s/%s is no such node: its position is %v", p.Shard(), p.Node(), cell[0])
	}
	return n, nil
}
