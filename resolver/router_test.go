package resolver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// changing is a Directory of one shard, which during a look-up may change.
type changing struct {
	nowhere
	def    tenant.Shard
	during func()
}

func (c *changing) Shard(context.Context, string) (tenant.Shard, error) {
	def := c.def
	if do := c.during; do != nil {
		c.during = nil
		do()
	}
	return def, nil
}

// session is a connection that does nothing.
type session struct{ driver.Conn }

func (session) Close() error { return nil }
func (session) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	return nil, driver.ErrSkip
}
func (session) Ping(context.Context) error         { return nil }
func (session) ResetSession(context.Context) error { return nil }
func (session) IsValid() bool                      { return true }
func (session) InTx() bool                         { return false }
func (session) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(0), nil
}

func (session) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return nil, driver.ErrSkip
}

type connector struct{ dsn string }

func (connector) Connect(context.Context) (driver.Conn, error) { return session{}, nil }
func (connector) Driver() driver.Driver                        { return virtualDriver{} }

func newTestRouter(t *testing.T, dir Directory) (*Router, *sql.DB) {
	t.Helper()
	r, err := New(Config{Directory: dir, Connect: func(dsn string, _ ScopeFunc) (driver.Connector, error) {
		return connector{dsn}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	handle := sql.OpenDB(r)
	NewPools(handle, r)
	t.Cleanup(func() {
		if err := handle.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, handle
}

// What the Directory said before a shard was changed is not opened after it.
func TestAnOldDefinitionIsNotOpened(t *testing.T) {
	t.Parallel()
	dir := &changing{def: tenant.Shard{Name: "s1", Primary: "old"}}
	r, _ := newTestRouter(t, dir)
	dir.during = func() {
		dir.def.Primary = "new"
		r.forget("s1")
	}
	opened := ""
	connect := r.cfg.Connect
	r.cfg.Connect = func(dsn string, f ScopeFunc) (driver.Connector, error) {
		opened += dsn
		return connect(dsn, f)
	}
	if _, err := r.shard(t.Context(), "s1"); err != nil || opened != "new" {
		t.Errorf("opened %q, %v", opened, err)
	}
}

// A transaction that began before its shard was changed, and commits after it,
// counts as a write where the tenant reads now.
func TestAWriteCountsOnTheChangedShard(t *testing.T) {
	t.Parallel()
	r, _ := newTestRouter(t, &changing{def: tenant.Shard{Name: "s1", Primary: "p", Replicas: []string{"r"}}})
	old, err := r.shard(t.Context(), "s1")
	if err != nil {
		t.Fatal(err)
	}
	r.forget("s1")
	s, err := r.shard(t.Context(), "s1")
	if err != nil || s == old {
		t.Fatalf("the shard was not opened anew: %v", err)
	}
	before := now()
	r.wrote(where{old, "a"})
	if s.fresh.needed("a") < before {
		t.Error("the write is not known")
	}
}

// The handle closes virtual connections all the time, because it keeps but two
// idle ones. Only for those that it closes for their age, old ones go with them.
func TestOnlyAgedConnectionsTakeOldOnesWithThem(t *testing.T) {
	t.Parallel()
	r, _ := newTestRouter(t, &changing{def: tenant.Shard{Name: "s1", Primary: "p"}})
	s, err := r.shard(t.Context(), "s1")
	if err != nil {
		t.Fatal(err)
	}
	var held []*pool.Conn
	for range 3 {
		c, err := s.primary.Acquire(t.Context(), pool.Claim{Owner: "a"})
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	for _, c := range held {
		c.Release()
	}
	r.virtual.Store(3)
	r.retire(time.Now())
	if n := s.primary.Stats().Open; n != 3 {
		t.Errorf("%d connections are open after a surplus virtual one was closed, want 3", n)
	}
	r.aged.Store(-1) // the handle has closed one for its age since
	r.retire(time.Now())
	if n := s.primary.Stats().Open; n != 2 {
		t.Errorf("%d connections are open after an old virtual one was closed, want 2", n)
	}
}
