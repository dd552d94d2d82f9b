package tenantplugin_test

import (
	"context"
	"errors"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/plugin/dbresolver"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// replicated is an application, with a replica, that is observed, in tenant
// acme's context.
func replicated(t *testing.T, n *notebook) *gorm.DB {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	cluster, err := pgcluster.Start(ctx, pgcluster.Config{Replicas: 1, InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	s := cluster.Shards()[0]
	db, err := gorm.Open(postgres.Open(cluster.Control.DSN), &gorm.Config{Logger: logger.Discard})
	p := tenantplugin.New(tenantplugin.WithModels(&User{}, &Pet{}), tenantplugin.WithObserver(n))
	t.Cleanup(func() {
		if err := errors.Join(p.Close(), cluster.Stop(ctx)); err != nil {
			t.Error(err)
		}
	})
	ok(t, err, db.Use(p), p.Registry().AddShard(ctx, tenant.Shard{
		Name: "s1", Primary: s.Primary.DSN, Replicas: []string{s.Replicas[0].DSN},
	}))
	_, err = p.Registry().Create(ctx, tenant.Spec{ID: "acme", Shard: "s1"})
	ok(t, err)
	return db.WithContext(tenant.NewContext(t.Context(), "acme"))
}

// What is observed names the node that served the statement.
func TestObserverOnReplica(t *testing.T) {
	t.Parallel()
	n := &notebook{}
	db := replicated(t, n)
	ok(t, db.Create(&User{Name: "acme"}).Error)
	one := func(do func(*gorm.DB) error) tenantplugin.Statement {
		t.Helper()
		seen := n.of(func() { ok(t, do(db)) })
		if len(seen) != 1 || seen[0].Duration <= 0 || seen[0].Shard != "s1" || seen[0].Tenant != "acme" {
			t.Fatalf("observed %+v", seen)
		}
		return seen[0]
	}
	read := func(db *gorm.DB) error { return db.First(&User{}, 1).Error }
	for name, onReplica := range map[string]func(*gorm.DB) error{
		"First": read,
		"Raw":   func(db *gorm.DB) error { return db.Raw("select name from users").Scan(new(string)).Error },
		"Row":   func(db *gorm.DB) error { return db.Model(&User{}).Select("id").Row().Scan(new(int)) },
		"prepared": func(db *gorm.DB) error {
			return read(prepared(db))
		},
		"told to": func(db *gorm.DB) error { return read(db.Clauses(dbresolver.Read)) },
	} {
		eventually(t, "the replica to serve "+name, func() bool {
			s := one(onReplica)
			return s.Replica && s.Node == "replica-0" && s.Kind == tenantplugin.KindRead
		})
	}
	for name, onPrimary := range map[string]func(*gorm.DB) error{
		"told to":     func(db *gorm.DB) error { return read(db.Clauses(dbresolver.Write)) },
		"transaction": func(db *gorm.DB) error { return db.Transaction(read) },
		"locked": func(db *gorm.DB) error {
			return db.Raw("select name from users for update").Scan(new(string)).Error
		},
		"Create": func(db *gorm.DB) error { return db.Create(&Pet{UserID: 1}).Error },
	} {
		if s := one(onPrimary); s.Replica || s.Node != "primary" {
			t.Errorf("%s: observed %+v", name, s)
		}
	}
}
