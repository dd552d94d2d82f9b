package tenanttest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// EnvDSN names the server that Open uses instead of starting one: a URL, of a
// user who may create databases.
const EnvDSN = "GORMTENANCY_TEST_DSN"

// server is the PostgreSQL of this test binary.
var server struct {
	once    sync.Once
	dsn     string
	cluster *pgcluster.Cluster
	err     error
}

// start starts the server, unless the environment names one.
func start(ctx context.Context) (string, error) {
	server.once.Do(func() {
		if server.dsn = os.Getenv(EnvDSN); server.dsn != "" {
			return
		}
		// It outlives the test that happened to be first.
		server.cluster, server.err = pgcluster.Start(context.WithoutCancel(ctx), pgcluster.Config{InMemory: true})
		if server.err == nil {
			server.dsn = server.cluster.Shards()[0].Primary.DSN
		}
	})
	return server.dsn, server.err
}

// Stop stops the server that Open started, if it did. Call it in TestMain,
// after m.Run; without it the server ends with the test binary.
func Stop(ctx context.Context) error {
	if server.cluster == nil {
		return nil
	}
	return server.cluster.Stop(ctx)
}

// Open returns a database of t's own with the plugin installed, as an
// application that has one database would install it. It is dropped when t
// ends.
func Open(t testing.TB, opts ...tenantplugin.Option) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(postgres.Open(Database(t)), &gorm.Config{})
	if err != nil {
		t.Fatalf("tenanttest: %v", err)
	}
	p := tenantplugin.New(opts...)
	if err := db.Use(p); err != nil {
		t.Fatalf("tenanttest: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("tenanttest: close: %v", err)
		}
	})
	return db
}

// Database returns the DSN of an empty database of t's own, for tests that open
// GORM themselves. It is dropped when t ends.
func Database(t testing.TB) string {
	t.Helper()
	dsn, drop, err := create(t.Context())
	if err != nil {
		t.Fatalf("tenanttest: %v", err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Errorf("tenanttest: drop the database: %v", err)
		}
	})
	return dsn
}

// create makes a database and returns its DSN and what drops it.
func create(ctx context.Context) (dsn string, drop func() error, err error) {
	at, err := start(ctx)
	if err != nil {
		return "", nil, err
	}
	u, err := url.Parse(at)
	if err != nil {
		return "", nil, errors.New(EnvDSN + " is no URL")
	}
	admin, err := sql.Open("pgx", at)
	if err != nil {
		return "", nil, err
	}
	name := "tenanttest_" + strings.ToLower(rand.Text())
	if _, err := admin.ExecContext(ctx, "create database "+name); err != nil {
		return "", nil, errors.Join(err, admin.Close())
	}
	u.Path = "/" + name
	return u.String(), func() error {
		_, err := admin.Exec("drop database " + name + " with (force)")
		return errors.Join(err, admin.Close())
	}, nil
}

// Tenant creates a tenant in db's registry and returns a context in which
// statements are its. The tenant is deleted when t ends.
func Tenant(t testing.TB, db *gorm.DB) context.Context {
	t.Helper()
	p, ok := db.Plugins[tenantplugin.Name].(*tenantplugin.Plugin)
	if !ok || p.Registry() == nil {
		t.Fatal("tenanttest: the database has no plugin with a registry: use Open, or db.Use(tenantplugin.New())")
	}
	id := tenant.ID(fmt.Sprintf("test-%s", strings.ToLower(rand.Text())))
	if _, err := p.Registry().Create(t.Context(), tenant.Spec{ID: id}); err != nil {
		t.Fatalf("tenanttest: create the tenant: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Registry().Delete(context.WithoutCancel(t.Context()), id); err != nil {
			t.Errorf("tenanttest: delete the tenant: %v", err)
		}
	})
	return tenant.NewContext(t.Context(), id)
}
