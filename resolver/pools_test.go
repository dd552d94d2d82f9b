package resolver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"

	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/internal/pool"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// nowhere is a Directory without tenants.
type nowhere struct{}

func (nowhere) Lookup(context.Context, tenant.ID) (tenant.Tenant, error) {
	return tenant.Tenant{}, tenant.ErrUnknown
}

func (nowhere) Shard(context.Context, string) (tenant.Shard, error) {
	return tenant.Shard{}, tenant.ErrUnknownShard
}

var errNoServer = errors.New("no server")

func noServer(string, ScopeFunc) (driver.Connector, error) { return nil, errNoServer }

func newTestPools(t *testing.T) (Pools, *sql.DB) {
	t.Helper()
	r, err := New(Config{Directory: nowhere{}, Connect: noServer, Home: tenant.Shard{Name: "home"}})
	if err != nil {
		t.Fatal(err)
	}
	handle := sql.OpenDB(r)
	t.Cleanup(func() {
		if err := handle.Close(); err != nil {
			t.Error(err)
		}
	})
	return NewPools(handle, r), handle
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for what, cfg := range map[string]Config{"no Directory": {Connect: noServer}, "no Connect": {Directory: nowhere{}}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// GORM and dbresolver keep maps by pool.
func TestPoolsAreComparable(t *testing.T) {
	t.Parallel()
	pools, _ := newTestPools(t)
	names := map[gorm.ConnPool]string{pools.Primary: "primary", pools.Read: "read", pools.Trusted: "trusted"}
	if len(names) != 3 || names[pools.Read] != "read" {
		t.Errorf("%v", names)
	}
}

// Whatever has no tenant, or an error of its own, fails without a connection.
func TestPoolsRefuse(t *testing.T) {
	t.Parallel()
	pools, handle := newTestPools(t)
	errOwn := errors.New("own")
	for what, c := range map[string]struct {
		ctx  context.Context
		want error
	}{
		"nil":     {nil, tenant.ErrNone},
		"none":    {t.Context(), tenant.ErrNone},
		"bad":     {tenant.NewContext(t.Context(), "No Such"), tenant.ErrInvalidID},
		"unknown": {tenant.NewContext(t.Context(), "zed"), tenant.ErrUnknown},
		"refused": {Refuse(tenant.Shared(t.Context()), errOwn), errOwn},
		"no node": {tenant.Shared(t.Context()), errNoServer},
	} {
		for name, p := range map[string]*Pool{"primary": pools.Primary, "read": pools.Read, "trusted": pools.Trusted} {
			_, exec := p.ExecContext(c.ctx, "select 1")
			rows, query := p.QueryContext(c.ctx, "select 1")
			if query == nil {
				rows.Close()
			}
			row := p.QueryRowContext(c.ctx, "select 1").Scan(new(int))
			for how, err := range map[string]error{"exec": exec, "query": query, "row": row} {
				if !errors.Is(err, c.want) {
					t.Errorf("%s, %s, %s: %v, want %v", what, name, how, err, c.want)
				}
			}
			if _, err := p.BeginTx(c.ctx, nil); !errors.Is(err, c.want) {
				t.Errorf("%s, %s, begin: %v, want %v", what, name, err, c.want)
			}
		}
	}
	if n := handle.Stats().InUse; n != 0 {
		t.Errorf("%d connections are in use", n)
	}
}

func TestClosedRouter(t *testing.T) {
	t.Parallel()
	pools, _ := newTestPools(t)
	for range 2 {
		if err := pools.Primary.Router().Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := pools.Primary.ExecContext(tenant.Shared(t.Context()), "select 1"); !errors.Is(err, pool.ErrClosed) {
		t.Errorf("a statement after Close: %v", err)
	}
}

func TestNilContexts(t *testing.T) {
	t.Parallel()
	ctx, route := Trace(nil)                                                                                               //nolint:staticcheck // on purpose
	if ctx == nil || route == nil || !wantsPrimary(Primary(nil)) || callOf(Refuse(nil, errNoServer)).fail != errNoServer { //nolint:staticcheck // on purpose
		t.Error("a nil context was passed on")
	}
}
