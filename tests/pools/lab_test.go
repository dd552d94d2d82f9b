package pools

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

var (
	tenants    = flag.Int("pools.tenants", 200, "tenants on two shards of one server")
	goroutines = flag.Int("pools.goroutines", 100, "callers at the same time")
	statements = flag.Int("pools.statements", 40, "statements of each")
	budget     = flag.Int("pools.budget", 12, "connections of the application, in all")
	touched    = flag.Int("pools.touched", 300, "tenants that one connection serves, for its backend's memory")
	retire     = flag.Int("pools.retire", 50, "tenants after which a connection is replaced, there")
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, goleak.Find)) }

// Item is the tests' model.
type Item struct {
	ID   int64
	Name string
}

// fleet is tenants on databases of one server. It is their Directory, so that whatever
// connects under appName is the application's pools.
type fleet struct {
	shards  map[string]tenant.Shard
	tenants map[tenant.ID]tenant.Tenant
	watch   *pgx.Conn // on the same server, and none of the application's
	appName string
}

func (f *fleet) Lookup(_ context.Context, id tenant.ID) (tenant.Tenant, error) {
	t, ok := f.tenants[id]
	if !ok {
		return t, tenant.ErrUnknown
	}
	return t, nil
}

func (f *fleet) Shard(_ context.Context, name string) (tenant.Shard, error) {
	s, ok := f.shards[name]
	if !ok {
		return s, tenant.ErrUnknownShard
	}
	return s, nil
}

func id(i int) tenant.ID { return tenant.ID(fmt.Sprintf("t%05d", i)) }

// newFleet makes tenants, those whose number leaves i on shard i.
func newFleet(t *testing.T, tenants, shards int) *fleet {
	t.Helper()
	s := pgtest.Any(t)
	f := &fleet{shards: map[string]tenant.Shard{}, tenants: map[tenant.ID]tenant.Tenant{}}
	f.appName = strings.ToLower(t.Name())
	f.watch = connect(t, s.Database(t))
	var making sync.WaitGroup
	for i := range shards {
		name, dsn := fmt.Sprint("s", i), s.Database(t)
		f.shards[name] = tenant.Shard{Name: name, Primary: dsn + "&application_name=" + f.appName}
		var ids []tenant.ID
		for n := i; n < tenants; n += shards {
			ids = append(ids, id(n))
			f.tenants[id(n)] = tenant.Tenant{
				ID: id(n), Schema: tenant.SchemaFor(id(n)), State: tenant.StateActive,
				Placement: tenant.Placement{Shard: name},
			}
		}
		conn := connect(t, dsn)
		making.Go(func() { fill(t, conn, ids) })
	}
	making.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return f
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// fill makes schemas, twenty at a time: each takes locks that last for the transaction.
func fill(t *testing.T, conn *pgx.Conn, ids []tenant.ID) {
	for len(ids) > 0 {
		var text strings.Builder
		n := min(len(ids), 20)
		for _, id := range ids[:n] {
			schema := tenant.QuoteIdent(tenant.SchemaFor(id))
			fmt.Fprintf(&text, "create schema %s; create table %[1]s.items (id bigserial primary key, name text);", schema)
		}
		if _, err := conn.Exec(t.Context(), text.String()); err != nil {
			t.Error(err)
			return
		}
		ids = ids[n:]
	}
}

// open opens an application on the fleet.
func (f *fleet) open(t *testing.T, opts ...tenantplugin.Option) (*gorm.DB, *tenantplugin.Plugin) {
	t.Helper()
	db, err := gorm.Open(postgres.Open(f.shards["s0"].Primary), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	p := tenantplugin.New(append(opts, tenantplugin.WithDirectory(f))...)
	if err := db.Use(p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	handle, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	handle.SetMaxIdleConns(*goroutines)
	return db, p
}

// backends returns the processes of the application's connections, as the server sees
// them.
func (f *fleet) backends(t *testing.T) []int {
	t.Helper()
	rows, err := f.watch.Query(t.Context(), "select pid from pg_stat_activity where application_name = $1", f.appName)
	if err != nil {
		t.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatal(err)
	}
	return pids
}
