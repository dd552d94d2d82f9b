package tenantplugin_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
)

// A statement that met what another tenant left behind is sent again: once, as it
// was, and in a transaction that is what it was begun as.
func TestMendedStatementsRunOnce(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		for how, mode := range sending {
			t.Run(how, func(t *testing.T) {
				t.Parallel()
				mendedRunOnce(t, s, mode.dsn, &gorm.Config{PrepareStmt: mode.prepared, Logger: logger.Discard})
			})
		}
	})
}

func mendedRunOnce(t *testing.T, s *pgtest.Server, dsn string, gc *gorm.Config) {
	w := newHome(t, s, dsn, gc)
	handle, err := w.db.DB()
	ok(t, err)
	handle.SetMaxOpenConns(1)
	leave := func() {
		t.Helper()
		ok(t, w.as(t, "a").Exec("do $$ begin create temp table if not exists loot (name text); execute 'set session search_path to tenant_a'; end $$").Error)
	}
	b := w.as(t, "b")
	many := make([]Pet, 500)
	for i := range many {
		many[i] = Pet{Name: fmt.Sprint("pet ", i), UserID: 1}
	}
	want := int64(0)
	for range 4 { // the texts' own plans come and go
		for what, c := range map[string]struct {
			rows int
			do   func() error
		}{
			"a row":       {1, func() error { return b.Create(&Pet{Name: "x", UserID: 1}).Error }},
			"raw":         {1, func() error { return b.Exec("insert into pets (name) values (?)", "y").Error }},
			"many":        {len(many), func() error { return b.Omit("ID").Create(&many).Error }},
			"returning":   {1, func() error { return b.Raw("insert into pets (name) values ('z') returning id").Scan(new(int64)).Error }},
			"several":     {2, func() error { return several(b, sending["simple"].dsn == dsn) }},
			"transaction": {2, func() error { return b.Transaction(func(tx *gorm.DB) error { return twice(tx) }) }},
			"savepoint": {1, func() error {
				return b.Transaction(func(tx *gorm.DB) error {
					_ = tx.Transaction(func(tx *gorm.DB) error { _ = twice(tx); return gorm.ErrInvalidData })
					return tx.Exec("insert into pets (name) values ('s')").Error
				})
			}},
		} {
			leave()
			if err := c.do(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			want += int64(c.rows)
			leave()
			var n int64
			ok(t, b.Model(&Pet{}).Count(&n).Error)
			if n != want {
				t.Fatalf("%s: %d rows, want %d", what, n, want)
			}
		}
	}
	for _, level := range []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable} {
		for _, readOnly := range []bool{false, true} {
			leave()
			ok(t, b.Transaction(func(tx *gorm.DB) error {
				var got string
				ok(t, tx.Raw("select current_setting('transaction_isolation') || ' ' || current_setting('transaction_read_only')").Scan(&got).Error)
				want := strings.ToLower(level.String()) + map[bool]string{false: " off", true: " on"}[readOnly]
				if got != want {
					t.Errorf("%q, want %q", got, want)
				}
				return nil
			}, &sql.TxOptions{Isolation: level, ReadOnly: readOnly}))
		}
	}
	cancelsWhileMending(t, b, leave)
	if st := handle.Stats(); st.InUse != 0 {
		t.Errorf("%d connections were not given back", st.InUse)
	}
}

// several sends two statements, in one text where the protocol takes it.
func several(db *gorm.DB, oneText bool) error {
	const insert = "insert into pets (name) values ('m')"
	if oneText {
		return db.Exec(insert + "; " + insert).Error
	}
	return twice(db)
}

func twice(db *gorm.DB) error {
	for range 2 {
		if err := db.Exec("insert into pets (name) values ('m')").Error; err != nil {
			return err
		}
	}
	return nil
}

// cancelsWhileMending ends the context at moments around a mend. What is reported
// as done is done, and what is not is not there twice.
func cancelsWhileMending(t *testing.T, db *gorm.DB, leave func()) {
	t.Helper()
	for i := range 30 {
		leave()
		name := fmt.Sprint("cancel ", i)
		ctx, cancel := context.WithTimeout(db.Statement.Context, time.Duration(i*50)*time.Microsecond)
		err := db.WithContext(ctx).Exec("insert into pets (name) values (?)", name).Error
		cancel()
		var n int64
		ok(t, db.Model(&Pet{}).Where("name = ?", name).Count(&n).Error)
		if n > 1 || err == nil && n != 1 {
			t.Errorf("%s: %v, and %d rows", name, err, n)
		}
	}
}
