package resolver

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"sync"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
	"github.com/gormtenancy/gormtenancy/internal/service"
)

// The pace of sampling: while a write waits to arrive on the replicas, and
// otherwise.
const (
	busyPace  = 10 * time.Millisecond // doubled while nothing is written, up to
	slowPace  = 250 * time.Millisecond
	idlePace  = time.Second
	askWithin = 2 * time.Second
	patience  = 50 * time.Millisecond // with one replica, before the others are asked again
)

// maxSamples bounds what is remembered of the primary.
const maxSamples = 4096

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
	asked  sync.WaitGroup

	mu      sync.Mutex
	writes  map[string]int64 // owner -> when its last write returned
	newest  int64            // the newest of writes
	samples []sample         // of the primary, in the order of time
}

type sample struct{ at, lsn int64 }

func watch(s *shard, maxLag time.Duration, log *slog.Logger) *freshness {
	f := &freshness{shard: s, maxLag: maxLag, log: log, poke: make(chan struct{}, 1), writes: map[string]int64{}}
	// A fresh group cannot have been started before.
	_ = f.group.Start(context.Background(), f.loop)
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
	defer f.asked.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	pace, newest := busyPace, int64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-f.poke:
		}
		if f.runOnce(ctx) {
			timer.Reset(idlePace)
			pace = busyPace
			continue
		}
		if n := f.newestWrite(); n > newest {
			pace, newest = busyPace, n
		}
		timer.Reset(pace)
		f.pause(ctx, timer)
		timer.Reset(0)
		pace = min(2*pace, slowPace)
	}
}

// pause waits for the timer alone: more writes do not quicken the pace.
func (f *freshness) pause(ctx context.Context, timer *time.Timer) {
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (f *freshness) newestWrite() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.newest
}

// runOnce samples the primary and each replica that is not known to be down,
// and reports whether all of these have caught up with the newest write.
func (f *freshness) runOnce(ctx context.Context) bool {
	ctx = system(ctx)
	at := now()
	lsn, err := ask(ctx, f.shard.primary, primaryLSN)
	if err != nil {
		return true // reads go to the primary, and will say what is wrong
	}
	f.remember(sample{at, lsn})
	answered := make(chan struct{}, len(f.shard.replicas))
	waiting := 0
	for _, r := range f.shard.replicas {
		if r.downUntil.Load() <= now() && r.asking.CompareAndSwap(false, true) {
			waiting++
			f.asked.Go(func() {
				f.follow(ctx, r)
				r.asking.Store(false)
				answered <- struct{}{}
			})
		}
	}
	f.await(ctx, answered, waiting)
	settled := true
	for _, r := range f.shard.replicas {
		if r.downUntil.Load() <= now() {
			settled = settled && f.settled(r.watermark.Load())
		}
	}
	return settled
}

// await waits for n answers, but not for a replica that hangs: the others go on
// without it.
func (f *freshness) await(ctx context.Context, answered <-chan struct{}, n int) {
	late := time.NewTimer(patience)
	defer late.Stop()
	for range n {
		select {
		case <-answered:
		case <-late.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// follow asks a replica for its position.
func (f *freshness) follow(ctx context.Context, r *replica) {
	replayed, err := ask(ctx, r.Pool, replicaLSN)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, pool.ErrClosed) {
			f.log.Warn("replica does not answer, its reads go to the primary",
				"shard", r.Shard(), "node", r.Node(), "cause", err)
		}
		r.avoid()
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	// One that was started again may be behind where it was.
	if mark := f.mark(replayed); mark > r.watermark.Load() || replayed < r.replayed {
		r.watermark.Store(mark)
	}
	r.replayed = replayed
}

// remember keeps a sample for as long as it can serve: a replica that is further
// behind than maxLag is not used anyway.
func (f *freshness) remember(s sample) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.samples); n > 0 && f.samples[n-1].lsn > s.lsn {
		// The position went back: another timeline. Nothing known holds.
		f.samples = f.samples[:0]
		for _, r := range f.shard.replicas {
			r.watermark.Store(0)
		}
	}
	old := max(len(f.samples)-maxSamples, 0)
	for old < len(f.samples)-1 && f.samples[old+1].at < s.at-int64(f.maxLag) {
		old++
	}
	f.samples = append(f.samples[:copy(f.samples, f.samples[old:])], s)
}

// mark returns the time of the newest sample that lsn covers, 0 if none. f.mu is
// held.
func (f *freshness) mark(lsn int64) int64 {
	i := sort.Search(len(f.samples), func(i int) bool { return f.samples[i].lsn > lsn })
	if i == 0 {
		return 0
	}
	return f.samples[i-1].at
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
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	c, err := p.Acquire(ctx, pool.Claim{Owner: systemOwner})
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
