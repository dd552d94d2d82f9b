package pooler

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
	"github.com/gormtenancy/gormtenancy/tenanttest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, goleak.Find)) }

// TestIsolationBehindPgBouncer: the control plane has a connection of its own,
// the shard is behind the pooler.
func TestIsolationBehindPgBouncer(t *testing.T) {
	t.Parallel()
	database := startPgBouncer(t)
	for _, mode := range []string{"exec", "simple_protocol"} {
		direct, pooled := database()
		db, ids := newFleet(t, direct, pooled+"&default_query_exec_mode="+mode)
		r := tenanttest.Prove(t, db, tenanttest.ProveConfig{Tenants: ids, Operations: 1500})
		for _, kind := range []string{"first", "raw", "create", "transaction", "savepoint", "locking read"} {
			if n := r.Errors[kind]; n > 0 {
				t.Errorf("%s: %d of %d %q failed", mode, n, r.ByKind[kind], kind)
			}
		}
	}
}

// TestStrictBehindPgBouncer: each login has server connections of its own there, and
// PgBouncer asks the server who may log in.
func TestStrictBehindPgBouncer(t *testing.T) {
	t.Parallel()
	direct, pooled := startWith(t, "auth_user=postgres", "auth_type = trust\nauth_query = select usename, passwd from pg_shadow where usename = $1\n")()
	db, ids := newFleet(t, direct, pooled+"&default_query_exec_mode=exec",
		tenantplugin.WithRoles(), tenantplugin.WithModels(tenanttest.Models()...))
	r := tenanttest.Prove(t, db, tenanttest.ProveConfig{Tenants: ids, Operations: 1500, Strict: true})
	for _, kind := range []string{"first", "raw", "create", "transaction", "savepoint", "locking read"} {
		if n := r.Errors[kind]; n > 0 {
			t.Errorf("%d of %d %q failed", n, r.ByKind[kind], kind)
		}
	}
}

// newFleet opens a shard behind the pooler with 20 tenants.
func newFleet(t *testing.T, direct, pooled string, opts ...tenantplugin.Option) (*gorm.DB, []tenant.ID) {
	t.Helper()
	reg, err := registry.Open(t.Context(), registry.Config{DSN: direct})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reg.Close)
	if err := reg.AddShard(t.Context(), tenant.Shard{Name: "pooled", Primary: pooled}); err != nil {
		t.Fatal(err)
	}
	db := open(t, pooled)
	p := tenantplugin.New(append(opts, tenantplugin.WithRegistry(reg), tenantplugin.WithTransactionPooler())...)
	if err := db.Use(p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	ids := make([]tenant.ID, 20)
	for i := range ids {
		ids[i] = tenant.ID(fmt.Sprintf("t%d", i))
		if _, err := reg.Create(t.Context(), tenant.Spec{ID: ids[i]}); err != nil {
			t.Fatal(err)
		}
	}
	return db, ids
}

func TestWhatUseRefuses(t *testing.T) {
	t.Parallel()
	database := startPgBouncer(t)
	for name, c := range map[string]struct{ mode, want string }{
		"a mode that prepares":            {"", "use default_query_exec_mode=exec or simple_protocol"},
		"a control plane behind a pooler": {"&default_query_exec_mode=exec", "open the registry"},
	} {
		direct, pooled := database()
		if c.mode == "" {
			pooled = direct
		}
		db := open(t, pooled+c.mode)
		p := tenantplugin.New(tenantplugin.WithTransactionPooler())
		if err := db.Use(p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q in it", name, err, c.want)
		}
		handle, err := db.DB()
		if err != nil {
			t.Fatal(err)
		}
		handle.Close()
	}
}

func open(t *testing.T, dsn string) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	return db
}
