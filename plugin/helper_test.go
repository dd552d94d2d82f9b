package tenantplugin_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestMain(m *testing.M) {
	code := pgtest.Main(m, goleak.Find)
	tenantplugin.DropDatabases()
	os.Exit(code)
}

// User and Pet are the tests' models.
type User struct {
	ID   int64
	Name string `gorm:"uniqueIndex"`
	Pets []Pet
}

type Pet struct {
	ID     int64
	UserID int64
	Name   string
}

// fleet is a Directory of tests: tenants on shards, changed at will.
type fleet struct {
	mu      sync.Mutex
	tenants map[tenant.ID]tenant.Tenant
	shards  map[string]tenant.Shard
	lookups int
}

func (f *fleet) Lookup(_ context.Context, id tenant.ID) (tenant.Tenant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lookups++
	t, ok := f.tenants[id]
	if !ok {
		return t, tenant.ErrUnknown
	}
	return t, nil
}

func (f *fleet) Shard(_ context.Context, name string) (tenant.Shard, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.shards[name]
	if !ok {
		return s, tenant.ErrUnknownShard
	}
	return s, nil
}

func (f *fleet) place(id tenant.ID, shard string, state tenant.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tenants[id] = tenant.Tenant{ID: id, Schema: tenant.SchemaFor(id), State: state, Placement: tenant.Placement{Shard: shard}}
}

// change changes a tenant's record.
func (f *fleet) change(id tenant.ID, how func(*tenant.Tenant)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tenants[id]
	how(&t)
	f.tenants[id] = t
}

// world is an application's database with the plugin, its tenants' schemas
// made: a and b on shard s1, c and d on shard s2, two databases of one server.
type world struct {
	db     *gorm.DB
	plugin *tenantplugin.Plugin
	fleet  *fleet
	dsn    [2]string
}

var onShard = map[tenant.ID]int{"a": 0, "b": 0, "c": 1, "d": 1}

func newWorld(t *testing.T, s *pgtest.Server, opts ...tenantplugin.Option) *world {
	t.Helper()
	return newWorldWith(t, s, &gorm.Config{}, func(c *postgres.Config) {}, opts...)
}

func newWorldWith(t *testing.T, s *pgtest.Server, gc *gorm.Config, change func(*postgres.Config), opts ...tenantplugin.Option) *world {
	t.Helper()
	w := &world{fleet: &fleet{tenants: map[tenant.ID]tenant.Tenant{}, shards: map[string]tenant.Shard{}}}
	for i := range w.dsn {
		w.dsn[i] = tenantplugin.Database(t, s)
		name := fmt.Sprintf("s%d", i+1)
		w.fleet.shards[name] = tenant.Shard{Name: name, Primary: w.dsn[i]}
		w.seed(t, i, name)
	}
	if gc.Logger == nil {
		gc.Logger = logger.Discard
	}
	pc := postgres.Config{DSN: w.dsn[0]}
	change(&pc)
	db, err := gorm.Open(postgres.New(pc), gc)
	if err != nil {
		t.Fatal(err)
	}
	w.plugin = tenantplugin.New(append([]tenantplugin.Option{tenantplugin.WithDirectory(w.fleet)}, opts...)...)
	if err := db.Use(w.plugin); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.plugin.Close(); err != nil {
			t.Error(err)
		}
	})
	w.db = db
	return w
}

const seedSQL = `create schema SCHEMA;
	create table SCHEMA.users (id bigserial primary key, name text unique);
	create table SCHEMA.pets (id bigserial primary key, user_id bigint, name text);
	insert into SCHEMA.users (name) values ('ID');
	insert into SCHEMA.pets (user_id, name) values (1, 'ID');`

// seed makes one shard's schemas with ordinary GORM: user 1 bears the tenant's
// name and has one pet.
func (w *world) seed(t *testing.T, i int, shard string) {
	t.Helper()
	db, err := sql.Open("pgx", w.dsn[i])
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	text := ""
	for id, n := range onShard {
		if n != i {
			continue
		}
		w.fleet.place(id, shard, tenant.StateActive)
		text += strings.ReplaceAll(strings.ReplaceAll(seedSQL, "SCHEMA", tenant.SchemaFor(id)), "ID", string(id))
	}
	if _, err := db.Exec(text); err != nil {
		t.Fatal(err)
	}
}

// openPlain opens GORM without the plugin.
func openPlain(t *testing.T, dsn string) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDB(t, db) })
	return db
}

func closeDB(t *testing.T, db *gorm.DB) {
	t.Helper()
	sqlDB, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	if err := sqlDB.Close(); err != nil {
		t.Error(err)
	}
}

// as returns the database in a tenant's context.
func (w *world) as(t *testing.T, id tenant.ID) *gorm.DB {
	t.Helper()
	return w.db.WithContext(tenant.NewContext(t.Context(), id))
}

// first reads user 1's name.
func first(db *gorm.DB) (string, error) {
	var u User
	err := db.First(&u, 1).Error
	return u.Name, err
}

func sees(t *testing.T, db *gorm.DB, want tenant.ID) {
	t.Helper()
	if got, err := first(db); err != nil || got != string(want) {
		t.Fatalf("tenant %s read %q, %v", want, got, err)
	}
}

// eventually polls until ok, at most 10 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10 s for %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
