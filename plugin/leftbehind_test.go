package tenantplugin_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const deallocates = "what no text deallocates"

// What one tenant's code leaves on a session, where no text tells. Each runs as
// tenant a, in a world of one connection; probe then is what nobody else may be
// answered, and what a may be.
var leftBehind = map[string]struct{ setup, leave, probe string }{
	"explain analyze": {leave: "explain analyze create temp table loot as select name from users", probe: "select name from loot"},
	"a function": {
		setup: `create function report() returns setof text language plpgsql as $$ begin
			create temp table if not exists loot (name text); insert into loot select name from users; return query select name from loot; end $$`,
		leave: "select report()", probe: "select name from pg_temp.loot",
	},
	"a trigger": {
		setup: `create function keep() returns trigger language plpgsql as $$ begin
			create temp table if not exists loot as select name from users; return new; end $$;
			create trigger keep before insert on pets for each row execute function keep()`,
		leave: "insert into pets (name) values ('x')", probe: "select name from loot",
	},
	"a block": {leave: "do $$ begin create temp table loot as select name from users; end $$", probe: "select name from loot"},
	"the session's path": {
		leave: "do $$ begin execute 'set session search_path to tenant_a'; end $$",
		probe: "commit; select name from users",
	},
	deallocates: {
		setup: `create function keep() returns trigger language plpgsql as $$ begin
			execute 'set session search_path to tenant_a'; execute 'deallocate all'; return new; end $$;
			create trigger keep before insert on pets for each row execute function keep()`,
		leave: "insert into pets (name) values ('x')", probe: "rollback; select name from users",
	},
	"the session's path by a function": {
		setup: `create function sp() returns void language plpgsql as $$ begin perform set_config('search_path', 'tenant_a', false); end $$`,
		leave: "select sp()", probe: "commit; select name from users",
	},
}

// The ways to send a statement.
var sending = map[string]struct {
	dsn      string
	prepared bool
}{
	"as ever": {}, "prepared": {prepared: true},
	"simple": {dsn: "&default_query_exec_mode=simple_protocol"}, "exec": {dsn: "&default_query_exec_mode=exec"},
	"described": {dsn: "&default_query_exec_mode=cache_describe"},
}

func TestNobodyMeetsWhatIsLeftBehind(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		for how, mode := range sending {
			t.Run(how, func(t *testing.T) {
				t.Parallel()
				nobodyMeets(t, s, mode.dsn, &gorm.Config{PrepareStmt: mode.prepared, Logger: logger.Discard})
			})
		}
	})
}

func nobodyMeets(t *testing.T, s *pgtest.Server, dsn string, gc *gorm.Config) {
	for name, c := range leftBehind {
		t.Run(name, func(t *testing.T) {
			config := *gc
			w := newHome(t, s, dsn, &config)
			handle, err := w.db.DB()
			ok(t, err)
			handle.SetMaxOpenConns(1)
			leave := func() {
				t.Helper()
				ok(t, w.as(t, "a").Exec(c.leave).Error)
			}
			if c.setup != "" {
				ok(t, w.as(t, "a").Exec(c.setup).Error)
			}
			leave()
			for range 3 { // the connection's place is taken by a clean one
				missing(t, w.as(t, "b").Exec(c.probe).Error)
			}
			sees(t, w.as(t, "b"), "b")

			leave()
			missing(t, w.as(t, "b").Transaction(func(tx *gorm.DB) error { return tx.Exec(c.probe).Error }))
			leave()
			ok(t, w.as(t, "b").Transaction(func(tx *gorm.DB) error {
				sees(t, tx, "b")
				return nil
			}))
			// A failed first statement does not bring the second one past the fence.
			leave()
			err = w.as(t, "b").Transaction(func(tx *gorm.DB) error {
				if err := tx.Exec("selec 1").Error; err == nil {
					t.Error("a text that is no SQL did not fail")
				}
				return tx.Exec("rollback; create table stolen as " + c.probe[strings.Index(c.probe, "select"):]).Error
			})
			if err == nil {
				t.Error("behind a failed statement it was there")
			}
			leave()
			_, err = handle.ExecContext(t.Context(), c.probe)
			missing(t, err)
			leave()
			missing(t, w.db.WithContext(tenant.Shared(t.Context())).Exec(c.probe).Error)
		})
	}
}

// missing fails unless a relation was not found.
func missing(t *testing.T, err error) {
	t.Helper()
	if code(err) != "42P01" {
		t.Errorf("want no such relation, got %v", err)
	}
}

// newHome is an application that has only its own database: tenants a and b are
// in it, and statements without a tenant use the same connections.
func newHome(t *testing.T, s *pgtest.Server, settings string, gc *gorm.Config) *world {
	t.Helper()
	w := &world{dsn: [2]string{tenantplugin.Database(t, s)}}
	db, err := gorm.Open(postgres.Open(w.dsn[0]+settings), gc)
	ok(t, err)
	w.db, w.plugin = db, tenantplugin.New(tenantplugin.WithModels(&User{}, &Pet{}))
	ok(t, db.Use(w.plugin))
	t.Cleanup(func() { ok(t, w.plugin.Close()) })
	for _, id := range []tenant.ID{"a", "b"} {
		_, err := w.plugin.Registry().Create(t.Context(), tenant.Spec{ID: id})
		ok(t, err)
		ok(t, w.as(t, id).Create(&User{Name: string(id)}).Error)
	}
	return w
}

// On a pinned connection nothing can be tried elsewhere: what one tenant did to
// the session keeps the others out.
func TestAPinnedConnectionThatOneTenantChangedIsItsAlone(t *testing.T) {
	t.Parallel()
	w := newHome(t, pgtest.Any(t), "", &gorm.Config{Logger: logger.Discard})
	for _, c := range [][2]string{
		{"declare c cursor with hold for select name from users", "fetch all from c"},
		{"insert into pets (name) values ('x'); select name into temp loot from users", "select name from loot"},
		{"create temp table loot as select name from users", "select name from loot"},
		{"select set_config('app.secret', (select name from users limit 1), false)", "select current_setting('app.secret')"},
		{"prepare p as select name from users", "execute p"},
	} {
		err := w.as(t, "a").Connection(func(a *gorm.DB) error {
			ok(t, a.Exec(c[0]).Error)
			ok(t, a.Exec(c[1]).Error)
			b := a.WithContext(tenant.NewContext(t.Context(), "b"))
			if err := b.Exec(c[1]).Error; err == nil || code(err) != "" {
				t.Errorf("%s: b's %s on the same connection: %v", c[0], c[1], err)
			}
			return nil
		})
		ok(t, err)
		if err := w.as(t, "b").Exec(c[1]).Error; err == nil {
			t.Errorf("%s: b's %s on another connection did not fail", c[0], c[1])
		}
	}
	sees(t, w.as(t, "b"), "b")
}

// The same over a pool that somebody else opened.
func TestNobodyMeetsWhatIsLeftBehindInAForeignPool(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		for name, c := range leftBehind {
			if name == deallocates { // the driver's own statements too: its pool is as broken without the plugin
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newForeignPool(t, s)
				if c.setup != "" {
					ok(t, w.as(t, "a").Exec(c.setup).Error)
				}
				for _, db := range []*gorm.DB{w.as(t, "b"), w.db.WithContext(tenant.Shared(t.Context()))} {
					ok(t, w.as(t, "a").Exec(c.leave).Error)
					if err := db.Exec(c.probe).Error; !errors.Is(err, tenant.ErrForbidden) {
						missing(t, err)
					}
				}
				sees(t, w.as(t, "b"), "b")
				err := w.as(t, "b").Transaction(func(tx *gorm.DB) error {
					if err := tx.Exec("commit").Error; !errors.Is(err, tenant.ErrForbidden) {
						t.Errorf("a raw COMMIT: %v", err)
					}
					sees(t, tx, "b")
					return nil
				})
				ok(t, err)
			})
		}
	})
}

func TestForeignPoolsGetNoChangedSessionBack(t *testing.T) {
	t.Parallel()
	w := newForeignPool(t, pgtest.Any(t))
	for _, c := range [][2]string{
		{"create temp table loot as select name from users", "select name from loot"},
		{"select set_config('app.secret', (select name from users limit 1), false)", "select current_setting('app.secret')"},
		{"declare c cursor with hold for select name from users", "fetch all from c"},
	} {
		ok(t, w.as(t, "a").Exec(c[0]).Error)
		if err := w.as(t, "b").Exec(c[1]).Error; err == nil {
			t.Errorf("%s: b's %s did not fail", c[0], c[1])
		}
		err := w.as(t, "a").Connection(func(a *gorm.DB) error {
			ok(t, a.Exec(c[0]).Error)
			if err := a.WithContext(tenant.NewContext(t.Context(), "b")).Exec(c[1]).Error; err == nil {
				t.Errorf("%s: b's %s on the same connection did not fail", c[0], c[1])
			}
			return nil
		})
		ok(t, err)
	}
}

// newForeignPool is a world over one connection that the application opened.
func newForeignPool(t *testing.T, s *pgtest.Server) *world {
	t.Helper()
	var pool *sql.DB
	w := newWorldWith(t, s, &gorm.Config{}, func(c *postgres.Config) {
		var err error
		pool, err = sql.Open("pgx", c.DSN)
		ok(t, err)
		pool.SetMaxOpenConns(1)
		c.Conn = pool
	})
	t.Cleanup(func() { ok(t, pool.Close()) })
	return w
}
