package tenanttest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
	"github.com/gormtenancy/gormtenancy/tenanttest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := tenanttest.Stop(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

type note struct {
	ID   int64
	Text string
}

func TestTenantsOfTheirOwn(t *testing.T) {
	t.Parallel()
	db := tenanttest.Open(t, tenantplugin.WithModels(&note{}))
	for i := range 3 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			ctx := tenanttest.Tenant(t, db)
			if err := db.WithContext(ctx).Create(&note{Text: "mine"}).Error; err != nil {
				t.Fatal(err)
			}
			var all []note
			if err := db.WithContext(ctx).Find(&all).Error; err != nil || len(all) != 1 {
				t.Fatalf("%+v, %v", all, err)
			}
		})
	}
}

func tenantsOf(t *testing.T, db *gorm.DB, n int) []tenant.ID {
	t.Helper()
	var ids []tenant.ID
	for range n {
		id, err := tenant.FromContext(tenanttest.Tenant(t, db))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func TestProveHolds(t *testing.T) {
	t.Parallel()
	db := tenanttest.Open(t)
	db.Logger = logger.Discard
	handle, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	handle.SetMaxOpenConns(8)
	handle.SetMaxIdleConns(8)
	r := tenanttest.Prove(t, db, tenanttest.ProveConfig{Tenants: tenantsOf(t, db, 5), Operations: 1500, Workers: 12})
	if r.Operations != 1500 {
		t.Errorf("%d operations", r.Operations)
	}
}

// recorder is a testing.TB that notes failures instead of failing.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failures []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(errFatal)
}

var errFatal = errors.New("fatal")

// The proof must fail on an application without isolation: plain GORM, where
// all tenants share one schema.
func TestProveFails(t *testing.T) {
	t.Parallel()
	plain, err := gorm.Open(postgres.Open(tenanttest.Database(t)), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	handle, err := plain.DB()
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	rec := &recorder{TB: t}
	func() {
		defer func() {
			if r := recover(); r != nil && r != errFatal { //nolint:errorlint // a recovered value
				panic(r)
			}
		}()
		tenanttest.Prove(rec, plain, tenanttest.ProveConfig{Tenants: []tenant.ID{"a", "b"}, Operations: 400, Workers: 4, Seed: 1})
	}()
	if !strings.Contains(strings.Join(rec.failures, "\n"), "isolation is broken") {
		t.Errorf("plain GORM passed the proof: %q", rec.failures)
	}
}
