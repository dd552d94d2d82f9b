package migrations

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/gormtenancy/gormtenancy/internal/pgdsn"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	// batchSize bounds how many tenants are locked, and registered, at once, and
	// batchesOf how many for each connection.
	batchSize = 100
	batchesOf = 50
	// lead is how long before its migration others hear of a tenant. Mostly it has
	// passed while the batch before ran.
	lead       = 20 * time.Millisecond
	maxBackoff = 10 * time.Second
	// A lock is followed by a look at what others did before: that needs a new snapshot.
	isolation     = "default_transaction_isolation"
	readCommitted = "read committed"
	// answerTime is how long a cancelled statement's answer is awaited.
	answerTime = 10 * time.Second
)

// job is one tenant's part of a run.
type job struct {
	id          tenant.ID
	shard, ring string
	from        int64 // the version that it had when it was first begun
	begun       bool
	cause       error // why it is tried again
}

// shard is one shard's part of a run.
type shard struct {
	*run
	name  string
	pool  *pgxpool.Pool
	pace  *rate.Limiter
	locks Locks
}

// all runs the jobs, and those that have to wait again.
func (s *shard) all(jobs []*job) error {
	if err := s.open(); err != nil {
		return s.lose(jobs, err)
	}
	wait := s.opts.Backoff
	for try := 0; ; try++ {
		again, err := s.pass(jobs, try < s.opts.Retries)
		if err != nil || len(again) == 0 {
			return s.lose(again, err)
		}
		jobs = again
		s.mu.Lock()
		s.report.Retries += len(again)
		s.mu.Unlock()
		s.wait(wait/2 + rand.N(wait))
		if s.ended() {
			return s.lose(again, nil)
		}
		wait = min(2*wait, maxBackoff)
	}
}

// wait waits, or until the run ends.
func (s *shard) wait(d time.Duration) {
	select {
	case <-s.ctx.Done():
	case <-time.After(d):
	}
}

// lose enters jobs that the end of the run leaves undone.
func (s *shard) lose(jobs []*job, err error) error {
	for _, j := range jobs {
		if errors.Is(j.cause, ErrUnknownOutcome) {
			s.end(j, Failed, j.cause)
		} else {
			s.end(j, Unreached, nil)
		}
	}
	return err
}

// open makes the shard's pool. A shard whose settings cannot be had ends the run.
func (s *shard) open() error {
	if s.pool != nil {
		return nil
	}
	conn, err := s.fleet.ShardConfig(s.ctx, s.name)
	if err != nil {
		return fmt.Errorf("shard %s: %w", s.name, err)
	}
	s.pace = rate.NewLimiter(rate.Inf, 1)
	if s.opts.Rate > 0 {
		s.pace.SetLimit(rate.Limit(s.opts.Rate))
	}
	if s.locks, err = s.fleet.Locks(s.ctx); err != nil {
		return err
	}
	cfg, err := pgxpool.ParseConfig(conn.ConnString())
	if err != nil {
		return fmt.Errorf("shard %s: %w", s.name, pgdsn.Err)
	}
	conn.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: answerTime}
	}
	conn.RuntimeParams[isolation] = readCommitted
	cfg.ConnConfig, cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = conn, int32(s.opts.PerShard), 0, 0
	// The pool lives as long as the run, whose end each statement hears of.
	if s.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(s.ctx), cfg); err != nil {
		return fmt.Errorf("shard %s: open its pool: %w", s.name, err)
	}
	return nil
}

func (s *shard) close() {
	if s.locks != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), cleanup)
		defer cancel()
		s.locks.Close(ctx)
	}
	if s.pool != nil {
		s.pool.Close()
	}
}

// attempt is the answer to Locks.Try.
type attempt struct {
	held Held
	err  error
	at   time.Time
}

// try asks for a batch's locks, beside the batch that runs.
func (s *shard) try(batch []*job) <-chan attempt {
	answer := make(chan attempt, 1)
	go func() {
		held, err := s.locks.Try(s.ctx, ids(batch))
		answer <- attempt{held, err, time.Now()}
	}()
	return answer
}

// pass runs the jobs once, in batches. It returns those to try again; none if
// retry is false.
func (s *shard) pass(jobs []*job, retry bool) (again []*job, err error) {
	batches := slices.Collect(slices.Chunk(jobs, min(batchSize, batchesOf*s.opts.PerShard)))
	var settling errgroup.Group
	next := s.try(batches[0])
	for i, batch := range batches {
		got := <-next
		if got.err != nil || s.ended() {
			err = s.unlessEnded(got.err)
			s.settle(got.held.Tenants, nil)
			_ = s.lose(slices.Concat(batches[i:]...), nil)
			break
		}
		if i+1 < len(batches) {
			next = s.try(batches[i+1])
		}
		s.wait(time.Until(got.at.Add(lead)))
		b := &batchRun{shard: s, retry: retry, versions: map[tenant.ID]int64{}}
		b.run(batch, got.held)
		again = append(again, b.again...)
		settling.Go(func() error { s.settle(got.held.Tenants, b.versions); return nil })
	}
	_ = settling.Wait() // its functions return none
	return again, err
}

// unlessEnded returns err, or nil if it is only the end of the run.
func (s *shard) unlessEnded(err error) error {
	if s.ended() {
		return nil
	}
	return err
}

func ids(jobs []*job) []tenant.ID {
	all := make([]tenant.ID, len(jobs))
	for i, j := range jobs {
		all[i] = j.id
	}
	return all
}

// settle registers what was reached, and gives the locks back.
func (s *shard) settle(held []tenant.Tenant, versions map[tenant.ID]int64) {
	if len(held) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), cleanup)
	defer cancel()
	if err := s.locks.Finish(ctx, held, versions); err != nil {
		s.mu.Lock()
		s.unsaved = errors.Join(s.unsaved, err)
		s.mu.Unlock()
	}
}
