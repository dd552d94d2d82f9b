package tenantplugin_test

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tenant"
)

var errRegret = errors.New("regret")

func TestTransactionHazards(t *testing.T) {
	eachHazard(t, []hazard{
		{"a transaction begins on the tenant's shard", begunOnOwnShard},
		{"a roll-back to a savepoint that is lost fails the transaction", lostRollback},
		{"a savepoint that fails is noticed", failedSavepoint},
		{"a roll-back to a savepoint leaves the scope", scopeOutlivesSavepoint},
		{"after the default transaction the pool is ours", poolAfterDefault},
		{"without the default transaction each statement is scoped", skipDefault},
		{"a panic in a hook gives the connection back", panicInHook},
		{"a raw COMMIT", rawCommit},
		{"rows left open", rowsLeftOpen},
		{"rows left open in a transaction", rowsOpenInTransaction},
		{"a cancelled statement leaves nothing behind", cancelled},
	})
}

func begunOnOwnShard(t *testing.T, w *world) {
	for _, id := range []tenant.ID{"a", "c"} {
		tx := w.as(t, id).Begin()
		sees(t, tx, id)
		if err := errors.Join(tx.Create(&User{Name: "begun"}).Error, tx.Commit().Error); err != nil {
			t.Fatal(err)
		}
		if err := w.as(t, id).CreateInBatches(make([]Pet, 5), 2).Error; err != nil {
			t.Fatal(err)
		}
		if n := w.count(t, id, "users where name = 'begun'"); n != 1 {
			t.Errorf("%s has %d users of its transaction", id, n)
		}
		if n := w.count(t, id, "pets"); n != 1+5 {
			t.Errorf("%s has %d pets", id, n)
		}
	}
}

func lostRollback(t *testing.T, w *world) {
	err := w.as(t, "a").Transaction(func(tx *gorm.DB) error {
		ctx, cancel := context.WithCancel(tx.Statement.Context)
		defer cancel()
		inner := tx.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if err := tx.Create(&User{Name: "undone"}).Error; err != nil {
				return err
			}
			cancel()
			return errors.New("undo")
		})
		if inner == nil {
			t.Error("the inner transaction succeeded")
		}
		return nil // an application that ignores it
	})
	var n int64
	if e := w.as(t, "a").Model(&User{}).Where("name = 'undone'").Count(&n).Error; e != nil || n != 0 {
		t.Fatalf("%d undone rows were committed (commit: %v), %v", n, err, e)
	}
}

func failedSavepoint(t *testing.T, w *world) {
	err := w.as(t, "a").Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec("select nonsense").Error; err == nil {
			t.Error("nonsense was selected")
		}
		if err := tx.SavePoint("sp").Error; err == nil {
			t.Error("a savepoint in a failed transaction was reported as made")
		}
		return nil
	})
	if err == nil {
		t.Error("a failed transaction was committed")
	}
}

// What is set within a savepoint goes with it. The scope is not.
func scopeOutlivesSavepoint(t *testing.T, w *world) {
	err := w.as(t, "a").Transaction(func(tx *gorm.DB) error {
		err := tx.Transaction(func(tx *gorm.DB) error {
			sees(t, tx, "a")
			return errRegret
		})
		if !errors.Is(err, errRegret) {
			t.Error(err)
		}
		sees(t, tx, "a")
		return tx.Create(&User{Name: "kept"}).Error
	})
	if n := w.count(t, "a", "users where name = 'kept'"); err != nil || n != 1 {
		t.Errorf("%d rows, %v", n, err)
	}
}

// GORM puts Config's pool into the statement then, whatever was there before.
func poolAfterDefault(t *testing.T, w *world) {
	res := w.as(t, "c").Create(&User{Name: "x"})
	if res.Error != nil {
		t.Fatal(res.Error)
	}
	again := res.Session(&gorm.Session{NewDB: true})
	sees(t, again, "c")
	if err := again.Transaction(func(tx *gorm.DB) error { sees(t, tx, "c"); return nil }); err != nil {
		t.Error(err)
	}
	nobody := again.WithContext(t.Context())
	for what, err := range map[string]error{
		"read": nobody.First(&User{}).Error, "begin": nobody.Begin().Error, "exec": nobody.Exec("select 1").Error,
	} {
		if !errors.Is(err, tenant.ErrNone) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func skipDefault(t *testing.T, w *world) {
	w.oneConnection(t)
	for range 3 {
		for _, id := range []tenant.ID{"a", "b", "c"} {
			db := w.as(t, id).Session(&gorm.Session{SkipDefaultTransaction: true})
			if err := db.Create(&Pet{Name: "own"}).Error; err != nil {
				t.Fatal(err)
			}
			sees(t, db, id)
		}
	}
	for _, id := range []tenant.ID{"a", "b", "c"} {
		if n := w.count(t, id, "pets where name = 'own'"); n != 3 {
			t.Errorf("%s has %d pets, not 3", id, n)
		}
	}
}

func panicInHook(t *testing.T, w *world) {
	ctx, cancel := context.WithCancel(tenant.NewContext(t.Context(), "a"))
	func() {
		defer func() { recover() }()
		w.db.WithContext(ctx).Create(plainHook("x", func(*gorm.DB) error { panic("on purpose") }))
	}()
	cancel()
	eventually(t, "the connection to come back", func() bool {
		for _, s := range w.plugin.Stats() {
			if s.InUse() > 0 {
				return false
			}
		}
		return true
	})
}

func rawCommit(t *testing.T, w *world) {
	err := w.as(t, "a").Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec("commit").Error; err != nil {
			return err
		}
		if _, err := first(tx); !errors.Is(err, tenant.ErrTxEnded) {
			t.Errorf("after a raw COMMIT: %v", err)
		}
		return nil
	})
	if !errors.Is(err, tenant.ErrTxEnded) {
		t.Error(err)
	}
}

func rowsLeftOpen(t *testing.T, w *world) {
	ctx, cancel := context.WithCancel(tenant.NewContext(t.Context(), "a"))
	defer cancel()
	rows, err := w.db.WithContext(ctx).Model(&User{}).Rows()
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	rows.Next()
	// The server is idle: its locks are gone, DDL does not hang.
	if err := openPlain(t, w.dsn[0]).Exec("set lock_timeout = '2s'; drop table tenant_a.users").Error; err != nil {
		t.Error(err)
	}
}

// PostgreSQL runs one statement of a transaction at a time. A second one fails
// or waits; it is never run elsewhere.
func rowsOpenInTransaction(t *testing.T, w *world) {
	tx := w.as(t, "a").Begin(&sql.TxOptions{})
	rows, err := tx.Raw("select name from users, generate_series(1, 100000)").Rows()
	if err != nil {
		t.Fatal(err)
	}
	rows.Next()
	if name, err := first(tx); err == nil && name != "a" {
		t.Errorf("read %q", name)
	}
	if err := rows.Close(); err != nil {
		t.Log(err)
	}
	// Whatever became of it, the connection is not stuck.
	tx.Rollback()
	w.idle(t)
	sees(t, w.as(t, "b"), "b")
}

// idle waits until no connection is in use.
func (w *world) idle(t *testing.T) {
	t.Helper()
	eventually(t, "the connections to come back", func() bool {
		for _, s := range w.plugin.Stats() {
			if s.InUse() > 0 {
				return false
			}
		}
		return true
	})
}

// A reset that is cancelled too would leave the next borrower in a's schema.
func cancelled(t *testing.T, w *world) {
	w.oneConnection(t)
	interrupted := 0
	for range 60 {
		wait := time.Duration(rand.IntN(4000)) * time.Microsecond
		ctx, cancel := context.WithTimeout(tenant.NewContext(t.Context(), "a"), wait)
		if err := w.db.WithContext(ctx).Exec("select pg_sleep(0.002)").Error; err != nil {
			interrupted++
		}
		cancel()
		sees(t, w.as(t, "b"), "b")
		var n int
		if err := w.as(t, "b").Raw("select count(*) from tenant_a.users where name = current_schema()").Scan(&n).Error; err != nil {
			t.Fatal(err)
		}
	}
	if interrupted == 0 {
		t.Error("no statement was cancelled")
	}
}

// A transaction on a pinned connection outlives what else is tried on that.
func TestATransactionOfAPinnedConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pgtest.Any(t))
	handle, err := w.db.DB()
	ok(t, err)
	c, err := handle.Conn(t.Context())
	ok(t, err)
	defer c.Close()
	a, elsewhere := tenant.NewContext(t.Context(), "a"), tenant.NewContext(t.Context(), "c")
	tx, err := c.BeginTx(a, nil)
	ok(t, err)
	if second, err := c.BeginTx(elsewhere, nil); err == nil {
		t.Error("a second transaction began", second.Rollback())
	}
	ok(t, c.PingContext(elsewhere))
	if _, err := tx.ExecContext(a, "update users set name = 'changed'"); err != nil {
		t.Fatal(err)
	}
	ok(t, tx.Rollback())
	sees(t, w.as(t, "a"), "a")
}
