package tenantplugin_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// What ordinary code does with temporary tables, in functions and triggers.
const (
	scratchFunction = `create function report() returns setof text language plpgsql as $$ begin
		create temp table scratch on commit drop as select name from users;
		return query select name from scratch; drop table scratch; end $$`
	scratchTrigger = `create function note() returns trigger language plpgsql as $$ begin
		create temp table if not exists notes as select name from users; return new; end $$;
		create trigger note before insert on pets for each row execute function note()`
)

// Temporary tables cost no statement an error, and no connection its life.
func TestScratchTablesAreOrdinary(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		w := newHome(t, s, "", &gorm.Config{Logger: logger.Discard})
		ids := []tenant.ID{"a", "b"}
		for _, id := range ids {
			ok(t, w.as(t, id).Exec(scratchFunction).Error)
			ok(t, w.as(t, id).Exec(scratchTrigger).Error)
		}
		handle, err := w.db.DB()
		ok(t, err)
		handle.SetMaxOpenConns(2)
		var workers sync.WaitGroup
		for g := range 8 {
			workers.Go(func() {
				for i := range 20 {
					scratch(t, w.as(t, ids[(g+i)%2]), string(ids[(g+i)%2]))
				}
			})
		}
		workers.Wait()
		if opened := w.plugin.Stats()[0].Opened; opened > 4 { // the world's own work opened some before
			t.Errorf("%d connections were opened, want the two", opened)
		}
	})
}

// scratch uses temporary tables in and out of transactions.
func scratch(t *testing.T, db *gorm.DB, name string) {
	t.Helper()
	sees := func(db *gorm.DB) error {
		var names []string
		err := db.Raw("select report()").Scan(&names).Error
		if err == nil && (len(names) != 1 || names[0] != name) {
			t.Errorf("%s was reported %v", name, names)
		}
		return err
	}
	for _, err := range []error{
		sees(db),
		db.Create(&Pet{UserID: 1, Name: "x"}).Error,
		db.Transaction(func(tx *gorm.DB) error { return errors.Join(sees(tx), tx.Create(&Pet{UserID: 1, Name: "y"}).Error) }),
		db.Connection(sees),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Somebody deallocates what he cannot name: the connection prepares it again.
func TestDeallocateInABlock(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		// The driver's own prepared statements would be gone too, hence exec.
		w := newHome(t, s, "&default_query_exec_mode=exec", &gorm.Config{Logger: logger.Discard})
		w.oneConnection(t)
		for _, id := range []tenant.ID{"a", "b", "a", "a"} {
			sees(t, w.as(t, "a"), "a")
			sees(t, w.as(t, "b"), "b")
			ok(t, w.as(t, id).Exec("do $$ begin execute 'deallocate all'; end $$").Error)
			sees(t, w.as(t, "a"), "a")
			ok(t, w.as(t, "b").Transaction(func(tx *gorm.DB) error {
				sees(t, tx, "b")
				return nil
			}))
		}
	})
}

// A path that a function sets for the rest of the transaction is not the next
// statement's.
func TestPathsSetByFunctionsInTransactions(t *testing.T) {
	t.Parallel()
	const set = "perform set_config('search_path', 'tenant_b', true);"
	onBoth := func(t *testing.T, w *world) {
		ok(t, w.as(t, "a").Exec("create function sp() returns int language plpgsql as $$ begin "+set+" return 1; end $$").Error)
		ok(t, w.as(t, "a").Exec("create procedure pp() language plpgsql as $$ begin "+set+" end $$").Error)
		for _, text := range []string{
			"select sp()", "do $$ begin " + set + " end $$", "call pp()", "update pets set user_id = sp()", "insert into pets (user_id) values (sp())",
			"insert into pets (user_id) select sp()",
		} {
			ok(t, w.as(t, "a").Transaction(func(tx *gorm.DB) error {
				ok(t, tx.Exec(text).Error)
				if name, err := first(tx); err != nil || name != "a" {
					t.Errorf("behind %s: %q, %v", text, name, err)
				}
				return nil
			}))
		}
	}
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		onBoth(t, newHome(t, s, "", &gorm.Config{Logger: logger.Discard}))
		onBoth(t, newForeignPool(t, s))
	})
}

// Transactions that are begun by text, and chained.
func TestRawTransactions(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		w := newHome(t, s, "", &gorm.Config{Logger: logger.Discard})
		w.oneConnection(t)
		for _, text := range []string{
			"begin", "begin isolation level repeatable read", "begin; set transaction isolation level serializable", "start transaction read only",
			"begin isolation level serializable read only deferrable", "begin; commit and chain", "begin; rollback and chain",
			"set transaction isolation level serializable",
		} {
			for _, before := range []tenant.ID{"a", "b"} {
				sees(t, w.as(t, before), before)
				ok(t, w.as(t, "a").Connection(func(c *gorm.DB) error {
					c = c.Session(&gorm.Session{})
					ok(t, c.Exec(text).Error)
					sees(t, c, "a")
					return c.Exec("commit").Error
				}))
			}
		}
	})
}

// newHooked is a world over a pool of n connections whose hook runs text.
func newHooked(t *testing.T, n int, text string) *world {
	t.Helper()
	var pool *sql.DB
	w := newWorldWith(t, pgtest.Any(t), &gorm.Config{}, func(c *postgres.Config) {
		conf, err := pgx.ParseConfig(c.DSN)
		ok(t, err)
		pool = stdlib.OpenDB(*conf, stdlib.OptionAfterConnect(func(ctx context.Context, pc *pgx.Conn) error {
			_, err := pc.Exec(ctx, text)
			return err
		}))
		pool.SetMaxOpenConns(n)
		pool.SetMaxIdleConns(n)
		c.Conn = pool
	})
	t.Cleanup(func() { ok(t, pool.Close()) })
	return w
}

// However many connections of a foreign pool hold a tenant's temporary tables, the
// others are served.
func TestForeignPoolsFullOfTemporaryTables(t *testing.T) {
	t.Parallel()
	const n = 15
	w := newHooked(t, n, "select 1")
	ok(t, w.as(t, "a").Exec(`create function hoard() returns text language plpgsql as $$ begin
		create temp table if not exists loot as select name from users; perform pg_sleep(0.2); return 'x'; end $$`).Error)
	for _, id := range []tenant.ID{"b", "a"} {
		var holders sync.WaitGroup
		for range n {
			holders.Go(func() { ok(t, w.as(t, "a").Exec("select hoard()").Error) })
		}
		holders.Wait()
		sees(t, w.as(t, id), id)
	}
}

// Where every connection has some from the start, the error says so.
func TestForeignPoolsWhoseHookMakesTemporaryTables(t *testing.T) {
	t.Parallel()
	w := newHooked(t, 2, "create temp table scratch (n int)")
	_, err := first(w.as(t, "a"))
	if err == nil || !strings.Contains(err.Error(), "temporary objects") {
		t.Errorf("a hook that makes a temporary table: %v", err)
	}
}
