package tenantplugin_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// decree is a quota.Source that says what it was told last.
type decree struct {
	mu     sync.Mutex
	policy quota.Policy
	tell   func()
}

func (d *decree) Policy(context.Context) (quota.Policy, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.policy, nil
}

func (d *decree) OnPolicyChange(fn func()) (cancel func()) {
	d.tell = fn
	return func() {}
}

// governed opens a world whose tenants of the default tier have limits.
func governed(t *testing.T, l quota.Limits, opts ...tenantplugin.Option) (*world, *decree, *quota.Governor) {
	t.Helper()
	d := &decree{policy: quota.Policy{Tiers: map[tenant.Tier]quota.Limits{quota.TierAny: l}}}
	g, err := quota.New(quota.Config{Source: d})
	ok(t, err)
	ok(t, g.Start(t.Context()))
	t.Cleanup(g.Stop)
	return newWorld(t, pgtest.Any(t), append(opts, tenantplugin.WithGovernor(g))...), d, g
}

// decide puts another policy in force.
func (d *decree) decide(t *testing.T, g *quota.Governor, p quota.Policy) {
	t.Helper()
	before := g.Stats().Loads
	d.mu.Lock()
	d.policy = p
	d.mu.Unlock()
	d.tell()
	eventually(t, "the policy to be read", func() bool { return g.Stats().Loads > before })
}

func overLimit(t *testing.T, what string, err error, limit string) {
	t.Helper()
	var limited *quota.LimitError
	if !errors.As(err, &limited) || limited.Limit != limit || limited.Tenant != "a" || !errors.Is(err, tenant.ErrLimited) {
		t.Errorf("%s: %v, want the limit %s", what, err, limit)
	}
}

func TestStatementRate(t *testing.T) {
	t.Parallel()
	w, _, _ := governed(t, quota.Limits{StatementsPerSecond: 0.001, StatementBurst: 5})
	db := w.as(t, "a")
	ok(t, db.Exec("select 1").Error, db.First(&User{}, 1).Error)
	ok(t, db.Transaction(func(tx *gorm.DB) error { return errors.Join(tx.Exec("select 1").Error, tx.Exec("select 1").Error) }))
	handle, err := db.DB()
	ok(t, err)
	_, err = handle.ExecContext(db.Statement.Context, "select 1")
	ok(t, err)
	for what, run := range map[string]func() error{
		"exec":   func() error { return db.Exec("select 1").Error },
		"find":   func() error { return db.Find(&[]User{}).Error },
		"row":    func() error { return db.Raw("select 1").Row().Err() },
		"create": func() error { return db.Create(&Pet{Name: "x"}).Error },
		"handle": func() error { _, err := handle.ExecContext(db.Statement.Context, "select 1"); return err },
		"prepared": func() error {
			return db.Session(&gorm.Session{PrepareStmt: true}).Find(&[]User{}).Error
		},
		"in a transaction": func() error {
			return db.Transaction(func(tx *gorm.DB) error { return tx.Exec("select 1").Error })
		},
	} {
		overLimit(t, what, run(), quota.LimitStatements)
	}
	sees(t, w.as(t, "b"), "b") // another tenant has its own
	if n := w.count(t, "a", "pets where name = 'x'"); n != 0 {
		t.Errorf("%d rows were written", n)
	}
}

// A statement, its rows, and a transaction each take a place; it is given back with them.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	w, _, g := governed(t, quota.Limits{Concurrency: 1})
	db := w.as(t, "a")
	busy := func(what string) {
		t.Helper()
		overLimit(t, what, db.Exec("select 1").Error, quota.LimitConcurrency)
		sees(t, w.as(t, "b"), "b")
	}
	rows, err := db.Model(&User{}).Rows()
	ok(t, err)
	busy("rows")
	ok(t, rows.Close())
	tx := db.Begin()
	ok(t, tx.Error, tx.Exec("select 1").Error, tx.Exec("select 1").Error)
	busy("a transaction")
	ok(t, tx.Commit().Error)
	ok(t, db.Connection(func(c *gorm.DB) error {
		if err := c.Exec("select 1").Error; err != nil {
			return err
		}
		busy("a connection")
		return c.Exec("select 1").Error
	}))
	_ = db.Exec("nonsense").Error
	_ = db.Transaction(func(tx *gorm.DB) error { return errors.New("rolled back") })
	ok(t, db.Exec("select 1").Error)
	if n := g.Stats().Concurrency.Waiting; n != 0 {
		t.Errorf("%d wait", n)
	}
}

// Who waits for a place gets it in turn.
func TestQueue(t *testing.T) {
	t.Parallel()
	w, _, g := governed(t, quota.Limits{Concurrency: 1, Queue: 1, QueueTimeout: quota.Duration(time.Minute)})
	db := w.as(t, "a")
	tx := db.Begin()
	ok(t, tx.Exec("select 1").Error)
	done := make(chan error, 1)
	go func() { done <- db.Exec("select 1").Error }()
	eventually(t, "a statement to wait", func() bool { return g.Stats().Concurrency.Waiting == 1 })
	overLimit(t, "behind the queue", db.Exec("select 1").Error, quota.LimitConcurrency)
	ctx, cancel := context.WithCancel(db.Statement.Context)
	cancel()
	if err := db.WithContext(ctx).Exec("select 1").Error; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	ok(t, tx.Commit().Error, <-done)
}

func TestRowsPerResult(t *testing.T) {
	t.Parallel()
	w, _, _ := governed(t, quota.Limits{RowsPerResult: 3})
	db := w.as(t, "a")
	series := "select i from generate_series(1, ?) i"
	var got []int
	ok(t, db.Raw(series, 3).Scan(&got).Error)
	overLimit(t, "scan", db.Raw(series, 4).Scan(&got).Error, quota.LimitRows)
	overLimit(t, "prepared", db.Session(&gorm.Session{PrepareStmt: true}).Raw(series, 4).Scan(&got).Error, quota.LimitRows)
	overLimit(t, "in a transaction", db.Transaction(func(tx *gorm.DB) error { return tx.Raw(series, 4).Scan(&got).Error }), quota.LimitRows)
	rows, err := db.Raw(series, 1000).Rows()
	ok(t, err)
	n := 0
	for rows.Next() {
		n++
	}
	overLimit(t, "rows", rows.Err(), quota.LimitRows)
	types, err := db.Raw("select 1::numeric(9,2) as a").Rows()
	ok(t, err)
	defer types.Close()
	columns, err := types.ColumnTypes()
	ok(t, err)
	precision, scale, known := columns[0].DecimalSize()
	if n != 3 || columns[0].DatabaseTypeName() != "NUMERIC" || precision != 9 || scale != 2 || !known {
		t.Errorf("%d rows; %s(%d, %d)", n, columns[0].DatabaseTypeName(), precision, scale)
	}
}

func TestTimeoutsOfATier(t *testing.T) {
	t.Parallel()
	w, d, g := governed(t, quota.Limits{
		StatementTimeout: quota.Duration(50 * time.Millisecond), IdleInTransactionTimeout: quota.Duration(7 * time.Second),
	})
	db := w.as(t, "a")
	if got := code(db.Exec("select pg_sleep(60)").Error); got != "57014" {
		t.Errorf("a long statement: %s", got)
	}
	var idle string
	ok(t, db.Raw("select current_setting('idle_in_transaction_session_timeout')").Scan(&idle).Error)
	d.decide(t, g, quota.Policy{
		Tiers:   map[tenant.Tier]quota.Limits{quota.TierAny: {StatementTimeout: quota.Duration(time.Minute)}},
		Tenants: map[tenant.ID]json.RawMessage{"a": json.RawMessage(`{"statement_timeout": null}`)},
	})
	var own, others string
	ask := "select current_setting('statement_timeout')"
	ok(t, db.Raw(ask).Scan(&own).Error, w.as(t, "b").Raw(ask).Scan(&others).Error)
	if idle != "7s" || own != "0" || others != "1min" {
		t.Errorf("idle %s; after the change %s and %s", idle, own, others)
	}
}

// Who is over its storage may read and delete.
func TestStorage(t *testing.T) {
	t.Parallel()
	w, d, g := governed(t, quota.Limits{StorageBytes: 1000})
	db := w.as(t, "a")
	ok(t, db.Create(&Pet{Name: "x"}).Error)
	full := quota.Policy{Tiers: map[tenant.Tier]quota.Limits{quota.TierAny: {StorageBytes: 1000}}, Full: map[tenant.ID]int64{"a": 2000}}
	d.decide(t, g, full)
	overLimit(t, "create", db.Create(&Pet{Name: "y"}).Error, quota.LimitStorage)
	overLimit(t, "update", db.Model(&Pet{}).Where("name = 'x'").Update("name", "z").Error, quota.LimitStorage)
	overLimit(t, "create table", db.Exec("create table t (a int)").Error, quota.LimitStorage)
	ok(t, db.Find(&[]Pet{}).Error, db.Where("name = 'x'").Delete(&Pet{}).Error, w.as(t, "b").Create(&Pet{Name: "x"}).Error)
}

// In quarantine all share few connections, and others have theirs.
func TestLane(t *testing.T) {
	t.Parallel()
	w, d, g := governed(t, quota.Limits{})
	until := quota.Quarantine{Until: time.Now().Add(time.Hour)}
	d.decide(t, g, quota.Policy{
		Quarantined: map[tenant.ID]quota.Quarantine{"a": until, "b": until, "c": {Until: until.Until, DryRun: true}},
		Lane:        quota.Lane{Limits: quota.Limits{StatementTimeout: quota.Duration(9 * time.Second)}},
	})
	var got, dry string
	ask := "select current_setting('statement_timeout')"
	ok(t, w.as(t, "a").Raw(ask).Scan(&got).Error, w.as(t, "c").Raw(ask).Scan(&dry).Error)
	if got != "9s" || dry != "0" {
		t.Errorf("%s in the lane, %s beside it", got, dry)
	}
	var held []*sql.Rows
	for _, id := range []tenant.ID{"a", "b"} {
		rows, err := w.as(t, id).Model(&User{}).Rows()
		ok(t, err)
		held = append(held, rows)
	}
	ctx, cancel := context.WithTimeout(tenant.NewContext(t.Context(), "a"), 50*time.Millisecond)
	defer cancel()
	if err := w.db.WithContext(ctx).Exec("select 1").Error; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a third in the lane: %v", err)
	}
	sees(t, w.as(t, "c"), "c")
	for _, rows := range held {
		ok(t, rows.Close())
	}
	sees(t, w.as(t, "a"), "a")
}

// What a statement takes is charged to its tenant.
func TestDatabaseShareOfATenant(t *testing.T) {
	t.Parallel()
	w, _, _ := governed(t, quota.Limits{DatabaseShare: 0.001})
	db := w.as(t, "a")
	ok(t, db.Exec("select pg_sleep(0.1)").Error)
	overLimit(t, "after a long statement", db.Exec("select 1").Error, quota.LimitDatabase)
	sees(t, w.as(t, "b"), "b")
}
