package pool_test

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
)

// server makes sessions that do nothing, and counts them. Tests of what PostgreSQL
// has no part in use it.
type server struct {
	open, worst, opened atomic.Int64
	refuse              atomic.Pointer[error]
	ends                chan struct{} // if not nil, each End waits for it
}

func (s *server) Driver() driver.Driver { return nil }

func (s *server) Connect(ctx context.Context) (driver.Conn, error) {
	if err := s.refuse.Load(); err != nil {
		return nil, *err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now := s.open.Add(1)
	s.opened.Add(1)
	for w := s.worst.Load(); now > w && !s.worst.CompareAndSwap(w, now); w = s.worst.Load() {
	}
	return &session{server: s}, nil
}

type session struct {
	driver.Conn
	server *server
	broken bool
}

func (s *session) End(time.Duration) {
	if s.server.ends != nil {
		<-s.server.ends
	}
}

func (s *session) Close() error {
	s.server.open.Add(-1)
	return nil
}

func (*session) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) { return fakeTx{}, nil }
func (*session) Ping(context.Context) error                                   { return nil }
func (*session) ResetSession(context.Context) error                           { return nil }
func (s *session) IsValid() bool                                              { return !s.broken }
func (*session) InTx() bool                                                   { return false }
func (*session) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(0), nil
}

func (*session) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return nil, driver.ErrSkip
}

type fakeTx struct{}

func (fakeTx) Commit() error   { return nil }
func (fakeTx) Rollback() error { return nil }

// fake returns a pool of s. It is closed with the test.
func (s *server) pool(t *testing.T, shard string, cfg pool.Config) *node {
	t.Helper()
	cfg.Shard, cfg.Node, cfg.Connector = shard, "primary", s
	n := &node{Pool: pool.New(cfg)}
	t.Cleanup(n.Close)
	return n
}

// claim takes a connection for a claim and wants no error.
func (n *node) claim(t *testing.T, c pool.Claim) *pool.Conn {
	t.Helper()
	got, err := n.Acquire(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// queue has count callers wait for a claim, and returns where they say who was
// served. Each gives its connection back when told.
func (n *node) queueUp(t *testing.T, c pool.Claim, count int, served chan<- turn) {
	t.Helper()
	for i := range count {
		before := n.Stats().Waiting
		go func() {
			got, err := n.Acquire(t.Context(), c)
			if err != nil {
				t.Error(err)
			}
			served <- turn{fmt.Sprint(c.Owner, i), got}
		}()
		eventually(t, "a waiter", func() bool { return n.Stats().Waiting == before+1 })
	}
}

type turn struct {
	who string
	c   *pool.Conn
}
