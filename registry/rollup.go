package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/service"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	// rollupBatch is how many rows are written by one statement.
	rollupBatch = 10_000
	// rollupPatience is how many times Config.QueryTimeout that may take.
	rollupPatience = 4
)

// RollupConfig configures a Rollup. Source is required.
type RollupConfig struct {
	// Source yields what each tenant has used on each shard so far, in counts that only
	// grow as long as since, when counting began, stays the same. total.At means nothing.
	// Package metrics' Collector.Each knows all that.
	Source func(yield func(since time.Time, total UsageRow))
	// Every is how often it is asked, and the control plane told; give or take 10%, so
	// that processes do not write all at once. Default 1 min.
	Every time.Duration
	// MaxBuffered is how many rows are kept while the control plane is away; beyond it
	// the oldest are dropped. One takes about 200 bytes. Default 500,000.
	MaxBuffered int
	// StopTimeout bounds the last writing, by Stop. Default 5 s.
	StopTimeout time.Duration
	// Logger gets what happens in the background. Default slog.Default().
	Logger *slog.Logger
}

func (c RollupConfig) withDefaults() (RollupConfig, error) {
	if c.Source == nil {
		return c, errors.New("registry.RollupConfig has no Source: give what counts the tenants' usage")
	}
	if c.Every < 0 || c.MaxBuffered < 0 || c.StopTimeout < 0 {
		return c, errors.New("registry.RollupConfig has a negative number: leave it out for the default")
	}
	if c.Every == 0 {
		c.Every = time.Minute
	}
	if c.MaxBuffered == 0 {
		c.MaxBuffered = 500_000
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = 5 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}

// Rollup adds this process's usage to the control plane's, each count exactly once,
// also where a COMMIT was not answered. While the control plane is away it keeps what it
// counted, up to a bound. Start and Stop it, before the registry is closed. It is safe
// for concurrent use.
type Rollup struct {
	reg     *Registry
	cfg     RollupConfig
	process string // names it in usage_batches, like nobody else
	loops   service.Group

	// running is held during a run, and guards last and next. mu guards the rest, and
	// is never held while waiting.
	running sync.Mutex
	last    map[usageKey]counted
	asked   time.Time
	next    int64 // number of the next batch

	mu    sync.Mutex
	queue []usageBatch // the oldest first
	stats RollupStats
}

type usageKey struct {
	tenant tenant.ID
	shard  string
}

// counted is what a tenant has used since a time.
type counted struct {
	since time.Time
	total UsageRow
}

// usageBatch is what one statement adds. Its rows stay what they are once it has been
// sent: it may have arrived.
type usageBatch struct {
	number int64
	rows   []UsageRow
}

// RollupStats counts what a Rollup did since it was made.
type RollupStats struct {
	// Buffered are the rows that wait to be written now.
	Buffered int
	// Written are the rows that were, Dropped those that never will be: there were too
	// many, or they could not be written. A dropped row whose COMMIT was not answered may
	// have been written.
	Written, Dropped uint64
	// Failures are the attempts that failed.
	Failures uint64
	// LastWritten is when the buffer was empty last; the zero time if it never was.
	LastWritten time.Time
}

// NewRollup returns a Rollup that was not started. What was counted before is part of
// the first rows.
func NewRollup(reg *Registry, cfg RollupConfig) (*Rollup, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Rollup{reg: reg, cfg: cfg, process: rand.Text(), last: map[usageKey]counted{}, asked: time.Now(), next: 1}, nil
}

// Start begins to write. A second call is an error, and so is one after Stop.
func (u *Rollup) Start(ctx context.Context) error { return u.loops.Start(ctx, u.run) }

// Stop ends that, and writes once more what is there, if it was started.
func (u *Rollup) Stop() { u.loops.Stop() }

// Stats returns the counts so far.
func (u *Rollup) Stats() RollupStats {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.stats
}

func (u *Rollup) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(jittered(u.cfg.Every)):
			u.attempt(ctx)
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), u.cfg.StopTimeout)
	defer cancel()
	u.attempt(last)
}

func (u *Rollup) attempt(ctx context.Context) {
	if err := u.runOnce(ctx, time.Now()); err != nil && ctx.Err() == nil {
		u.cfg.Logger.WarnContext(ctx, "usage of tenants was not written, and is kept", "rows", u.Stats().Buffered, "error", err)
	}
}

// runOnce counts what was used since the last call, and writes all that was not.
func (u *Rollup) runOnce(ctx context.Context, now time.Time) error {
	u.running.Lock()
	defer u.running.Unlock()
	u.enqueue(u.collect(now))
	for {
		b, ok := u.oldest()
		if !ok {
			return nil
		}
		err := u.send(ctx, b)
		u.sent(b, err, now)
		if err != nil && !unwritable(err) {
			return err
		}
		if err != nil {
			u.cfg.Logger.ErrorContext(ctx, "usage of tenants cannot be written, and is dropped", "rows", len(b.rows), "error", err)
		}
	}
}

func (u *Rollup) send(ctx context.Context, b usageBatch) error {
	ctx, cancel := context.WithTimeout(ctx, rollupPatience*u.reg.cfg.QueryTimeout)
	defer cancel()
	return u.reg.AddUsage(ctx, u.process, b.number, b.rows)
}

// unwritable reports whether an error is the rows' fault: they would fail for ever, and
// hold up those behind them.
func unwritable(err error) bool {
	state := sqlState(err)
	return len(state) == 5 && (state[:2] == "22" || state[:2] == "23")
}

// collect returns the differences to the last call, as used in the middle between them.
// Who is yielded no more will begin anew.
func (u *Rollup) collect(now time.Time) []UsageRow {
	bucket := u.asked.Add(now.Sub(u.asked) / 2).UTC().Truncate(time.Minute)
	u.asked = now
	var used []UsageRow
	seen := make(map[usageKey]counted, len(u.last))
	u.cfg.Source(func(since time.Time, total UsageRow) {
		key := usageKey{total.Tenant, total.Shard}
		before := u.last[key]
		seen[key] = counted{since, total}
		if !before.since.Equal(since) {
			before.total = UsageRow{}
		}
		row := total.minus(&before.total)
		if row.counts() != [usageCounters]int64{} {
			row.At = bucket
			used = append(used, row)
		}
	})
	u.last = seen
	return used
}

// minus returns what was counted after before. Times are cut to microseconds first, so
// that no fraction is lost between two rows. What has shrunk began anew.
func (u *UsageRow) minus(before *UsageRow) UsageRow {
	n, was := u.counts(), before.counts()
	for i := range n {
		if n[i] -= was[i]; n[i] < 0 {
			n = u.counts()
			break
		}
	}
	d := UsageRow{Tenant: u.Tenant, Shard: u.Shard}
	d.setCounts(n)
	return d
}

func (u *Rollup) enqueue(rows []UsageRow) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(rows) > 0 {
		n := min(len(rows), rollupBatch, max(1, u.cfg.MaxBuffered))
		u.queue = append(u.queue, usageBatch{u.next, rows[:n:n]})
		u.stats.Buffered += n
		u.next++
		rows = rows[n:]
	}
	for u.stats.Buffered > u.cfg.MaxBuffered {
		n := len(u.queue[0].rows)
		u.queue[0] = usageBatch{}
		u.queue = u.queue[1:]
		u.stats.Buffered -= n
		u.stats.Dropped += uint64(n)
	}
}

func (u *Rollup) oldest() (usageBatch, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.queue) == 0 {
		return usageBatch{}, false
	}
	return u.queue[0], true
}

// sent notes how the sending of the oldest batch ended.
func (u *Rollup) sent(b usageBatch, err error, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		u.stats.Failures++
		if !unwritable(err) {
			return
		}
		u.stats.Dropped += uint64(len(b.rows))
	} else {
		u.stats.Written += uint64(len(b.rows))
	}
	u.queue[0] = usageBatch{}
	u.queue = u.queue[1:]
	u.stats.Buffered -= len(b.rows)
	if len(u.queue) == 0 {
		u.queue, u.stats.LastWritten = nil, now
	}
}

// String names it as the control plane does.
func (u *Rollup) String() string { return fmt.Sprintf("rollup %s of %s", u.process, u.reg) }
