package main

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const strictTenants = 200

// BenchmarkStrict compares strict mode with the plugin's ordinary mode, alternating in
// one run over the same tenants: us/op is strict's, ratio its median to ordinary.
//
//	go test -run '^$' -bench Strict -benchtime 2000x ./tests/bench
func BenchmarkStrict(b *testing.B) {
	strict, ordinary := strictAndNot(b)
	ctx := make([]context.Context, strictTenants)
	for i := range ctx {
		ctx[i] = tenant.NewContext(b.Context(), tenant.ID(fmt.Sprintf("t%d", i)))
	}
	read := func(db *gorm.DB) error { return db.First(&Item{}, 1).Error }
	write := func(db *gorm.DB) error { return db.Model(&Item{}).Where("id = ?", 1).Update("amount", 7).Error }
	for _, c := range []struct {
		name    string
		tenants int
		run     func(*gorm.DB) error
	}{
		{"read", 1, read}, {"write", 1, write}, {"read in turn", strictTenants, read}, {"write in turn", strictTenants, write},
	} {
		b.Run(c.name, func(b *testing.B) {
			way := func(db *gorm.DB) func() (float64, error) {
				n := 0
				return func() (float64, error) {
					return timed(10, func(int) error { n++; return c.run(db.WithContext(ctx[n%c.tenants])) })
				}
			}
			m, err := alternate(b.Context(), max(b.N, 1), [ways]func() (float64, error){plainWay: way(ordinary), oursWay: way(strict)})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(m.value[oursWay], "us-strict")
			b.ReportMetric(m.value[plainWay], "us-ordinary")
			b.ReportMetric(m.ratio, "ratio")
		})
	}
}

// strictAndNot opens the same tenants in both modes.
func strictAndNot(b *testing.B) (strict, ordinary *gorm.DB) {
	b.Helper()
	dsn := pgtest.Any(b).Database(b)
	reg, err := registry.Open(b.Context(), registry.Config{DSN: dsn, HomeShard: "home", Roles: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(reg.Close)
	open := func(opts ...tenantplugin.Option) *gorm.DB {
		db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
		if err != nil {
			b.Fatal(err)
		}
		p := tenantplugin.New(append(opts, tenantplugin.WithRegistry(reg))...)
		if err := db.Use(p); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { p.Close() })
		handle, err := db.DB()
		if err != nil {
			b.Fatal(err)
		}
		handle.SetMaxOpenConns(1)
		return db
	}
	strict, ordinary = open(tenantplugin.WithRoles()), open()
	admin, err := sql.Open("pgx", dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer admin.Close()
	for i := range strictTenants {
		t, err := reg.Create(b.Context(), tenant.Spec{ID: tenant.ID(fmt.Sprintf("t%d", i))})
		if err == nil {
			_, err = admin.Exec(fmt.Sprintf("create table %q.bench_items (id bigserial primary key, name text, amount bigint, created_at timestamptz); insert into %[1]q.bench_items (name) select 'x' from generate_series(1, 50)", t.Schema))
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	return strict, ordinary
}
