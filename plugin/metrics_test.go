package tenantplugin_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/metrics"
	"github.com/gormtenancy/gormtenancy/migrations"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/quota"
)

// Whatever road a statement takes, it is counted once, with what it took.
func TestMetricsCountEveryRoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pgtest.Any(t), tenantplugin.WithMetrics(prometheus.NewRegistry()))
	db := w.as(t, "a")
	handle, err := db.DB()
	ok(t, err)
	ctx := db.Statement.Context
	const read, write, ddl = metrics.KindRead, metrics.KindWrite, metrics.KindDDL
	type counts struct {
		kinds                 [metrics.NumKinds]uint64
		failed, rows, commits uint64
	}
	for name, c := range map[string]struct {
		run  func() error
		want counts
	}{
		"find":       {func() error { return db.Find(&[]User{}).Error }, counts{kinds: one1(read), rows: 1}},
		"not found":  {func() error { _ = db.First(&User{}, 99); return nil }, counts{kinds: one1(read)}},
		"create":     {func() error { return db.Create(&[]Pet{{Name: "x"}, {Name: "y"}}).Error }, counts{kinds: one1(write), rows: 2, commits: 1}},
		"ddl":        {func() error { return db.Exec("create index on pets (name)").Error }, counts{kinds: one1(ddl)}},
		"broken":     {func() error { _ = db.Exec("delete from nonsense"); return nil }, counts{kinds: one1(write), failed: 1}},
		"row":        {func() error { return db.Raw("select 1").Row().Scan(new(int)) }, counts{kinds: one1(read)}},
		"duplicates": {func() error { _ = db.Create(&User{ID: 1}); return nil }, counts{kinds: one1(write), failed: 1, commits: 1}},
		"transaction": {func() error {
			return db.Transaction(func(tx *gorm.DB) error { return errors.Join(tx.First(&User{}, 1).Error, tx.First(&User{}, 1).Error) })
		}, counts{kinds: [metrics.NumKinds]uint64{2}, rows: 2, commits: 1}},
		"handle":       {func() error { _, err := handle.ExecContext(ctx, "update users set name = name"); return err }, counts{kinds: one1(write), rows: 1}},
		"handle query": {func() error { return handle.QueryRowContext(ctx, "select 1").Scan(new(int)) }, counts{kinds: one1(read)}},
		"handle prepared": {func() error {
			st, err := handle.PrepareContext(ctx, "select 1")
			if err != nil {
				return err
			}
			defer st.Close()
			return st.QueryRowContext(ctx).Scan(new(int))
		}, counts{kinds: one1(read)}},
		"handle transaction": {func() error {
			tx, err := handle.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, "update users set name = name")
			return errors.Join(err, tx.Rollback())
		}, counts{kinds: one1(write), rows: 1, commits: 1}},
		"empty transaction": {func() error { return db.Transaction(func(*gorm.DB) error { return nil }) }, counts{}},
		"conn": {func() error {
			return db.Connection(func(c *gorm.DB) error { return c.Exec("select 1").Error })
		}, counts{kinds: one1(read), rows: 1}},
	} {
		before := w.plugin.Metrics().Totals()
		ok(t, c.run())
		after := w.plugin.Metrics().Totals()
		got := counts{failed: after.Failed() - before.Failed(), rows: after.Rows - before.Rows, commits: after.Commits - before.Commits}
		for k := range got.kinds {
			got.kinds[k] = after.Statements[k] - before.Statements[k]
		}
		if got != c.want {
			t.Errorf("%s: counted %+v, want %+v", name, got, c.want)
		}
		if n := after.Count() - before.Count(); n > 0 && (after.Time <= before.Time || after.RoundTrips-before.RoundTrips < n) {
			t.Errorf("%s: %v in %d round trips", name, after.Time-before.Time, after.RoundTrips-before.RoundTrips)
		}
	}
	snapshot, found := w.plugin.Metrics().Tenant("a")
	total := w.plugin.Metrics().Totals()
	if !found || snapshot.Shard != "s1" || snapshot.Usage.Count() != total.Count() {
		t.Errorf("%+v", snapshot)
	}
	for _, q := range snapshot.Queries {
		if strings.Contains(q.Text, "99") || q.Text == "" {
			t.Errorf("a query's text is %q", q.Text)
		}
	}
}

func one1(k metrics.Kind) (n [metrics.NumKinds]uint64) {
	n[k] = 1
	return n
}

// A wait for a connection is its tenant's, and no database time.
func TestMetricsTellWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pgtest.Any(t), tenantplugin.WithMetrics(prometheus.NewRegistry()), tenantplugin.WithPoolLimits(1, 0, 0))
	rows, err := w.as(t, "a").Model(&User{}).Rows()
	ok(t, err)
	done := make(chan error, 2)
	go func() { done <- w.as(t, "b").First(&User{}).Error }()
	go func() {
		done <- w.as(t, "b").Transaction(func(tx *gorm.DB) error { return tx.First(&User{}).Error })
	}()
	eventually(t, "both to wait", func() bool { s := w.plugin.Stats(); return len(s) > 0 && s[0].Waiting == 2 })
	began := time.Now()
	eventually(t, "a while", func() bool { return time.Since(began) > 50*time.Millisecond })
	ok(t, rows.Close(), <-done, <-done)
	b, _ := w.plugin.Metrics().Tenant("b")
	if u := b.Usage; u.Waits != 2 || u.Wait < 100*time.Millisecond || u.Time > 50*time.Millisecond {
		t.Errorf("%d waits of %v, at work for %v", u.Waits, u.Wait, u.Time)
	}
}

// What is registered passes the lint, and is gone with the plugin; a second plugin may
// then register.
func TestMetricsAreRegistered(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	w, _, _ := governed(t, quota.Limits{StatementsPerSecond: 0.001, StatementBurst: 2, Concurrency: 3}, tenantplugin.WithMetrics(reg))
	db := w.as(t, "a")
	ok(t, db.Exec("select 1").Error, db.Exec("select 1").Error)
	overLimit(t, "a third", db.Exec("select 1").Error, quota.LimitStatements)
	w.plugin.CountMigration(migrations.Progress{Shard: "s1", Outcome: migrations.Migrated})
	w.plugin.CountMigration(migrations.Progress{Shard: "s1", Outcome: migrations.Migrated})
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	err = testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP gormtenancy_limit_refused_total What tenants' limits refused, by limit.
# TYPE gormtenancy_limit_refused_total counter
gormtenancy_limit_refused_total{limit="concurrency"} 0
gormtenancy_limit_refused_total{limit="database_share"} 0
gormtenancy_limit_refused_total{limit="requests_per_second"} 0
gormtenancy_limit_refused_total{limit="statements_per_second"} 1
# HELP gormtenancy_migrations_total Tenants whose part of a run of migrations has ended (Plugin.CountMigration), by outcome.
# TYPE gormtenancy_migrations_total counter
gormtenancy_migrations_total{outcome="migrated",shard="s1"} 2
# HELP gormtenancy_tenants_exposed Tenants with series of their own.
# TYPE gormtenancy_tenants_exposed gauge
gormtenancy_tenants_exposed 1
`), "gormtenancy_limit_refused_total", "gormtenancy_tenants_exposed", "gormtenancy_migrations_total")
	if err != nil {
		t.Error(err)
	}
	ok(t, w.plugin.Close())
	if left, err := reg.Gather(); err != nil || len(left) > 0 {
		t.Errorf("%d families are left, %v", len(left), err)
	}
}

// A collector of the application's own is used, and left alone.
func TestOwnCollector(t *testing.T) {
	t.Parallel()
	c := metrics.New(metrics.Config{})
	w := newWorld(t, pgtest.Any(t), tenantplugin.WithCollector(c))
	sees(t, w.as(t, "a"), "a")
	if w.plugin.Metrics() != c || c.Totals().Statements[metrics.KindRead] != 1 {
		t.Errorf("%+v", c.Totals())
	}
}
