package tenantplugin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/plugin/dbresolver"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// What an ordinary application does that would go round a scope made of
// callbacks alone. Tenants a and b share a shard; c lives on another.

// hook is a model whose hook does what the test says.
type hook struct {
	ID   int64
	Name string
	do   func(*gorm.DB) error
}

func (hook) TableName() string                             { return "users" }
func (h *hook) BeforeCreate(tx *gorm.DB) error             { return h.do(tx) }
func plainHook(name string, do func(*gorm.DB) error) *hook { return &hook{Name: name, do: do} }

func TestHazards(t *testing.T) {
	t.Parallel()
	for _, h := range []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"a roll-back to a savepoint that is lost fails the transaction", lostRollback},
		{"a savepoint that fails is noticed", failedSavepoint},
		{"a panic in a hook gives the connection back", panicInHook},
		{"Connection pins one connection", pinnedConnection},
		{"a prepared session serves tenants on all shards", preparedSession},
		{"a prepared statement without tenant poisons nobody", preparedWithoutTenant},
		{"generics without a tenant", generics},
		{"a hook that changes the tenant", hookChangesTenant},
		{"a preload through the root db", preloadThroughRoot},
		{"dbresolver.Use", resolverUse},
		{"a raw COMMIT", rawCommit},
		{"a table that only public has", onlyPublic},
		{"a qualified table", qualifiedTable},
		{"dry runs and subqueries need no tenant", dryRuns},
		{"errors keep their type", errorsKeepType},
		{"a serializable transaction", serializable},
		{"an alias in Table", tableAlias},
		{"SET of the path", setPath},
		{"rows left open", rowsLeftOpen},
		{"a DO block that commits", doCommits},
	} {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			h.run(t, newWorldWith(t, pgtest.Any(t), &gorm.Config{TranslateError: true}, func(*postgres.Config) {}))
		})
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

func pinnedConnection(t *testing.T, w *world) {
	err := w.as(t, "a").Connection(func(tx *gorm.DB) error {
		pids := map[int64]bool{}
		for range 5 {
			var pid int64
			if err := tx.Raw("select pg_backend_pid()").Scan(&pid).Error; err != nil {
				return err
			}
			pids[pid] = true
		}
		if len(pids) != 1 {
			t.Errorf("%d backends served one connection", len(pids))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func preparedSession(t *testing.T, w *world) {
	for range 3 {
		for id := range onShard {
			db := w.as(t, id).Session(&gorm.Session{PrepareStmt: true})
			sees(t, db, id)
			if err := db.Transaction(func(tx *gorm.DB) error { sees(t, tx, id); return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func preparedWithoutTenant(t *testing.T, w *world) {
	db := w.db.Session(&gorm.Session{PrepareStmt: true})
	if _, err := first(db); !errors.Is(err, tenant.ErrNone) {
		t.Fatal(err)
	}
	sees(t, w.as(t, "a").Session(&gorm.Session{PrepareStmt: true}), "a")
	sees(t, w.as(t, "c").Session(&gorm.Session{PrepareStmt: true}), "c")
}

func generics(t *testing.T, w *world) {
	if _, err := gorm.G[User](w.as(t, "a")).Where("id = 1").First(t.Context()); !errors.Is(err, tenant.ErrNone) {
		t.Errorf("the call's context has no tenant: %v", err)
	}
	u, err := gorm.G[User](w.db).Where("id = 1").First(tenant.NewContext(t.Context(), "b"))
	if err != nil || u.Name != "b" {
		t.Errorf("%+v, %v", u, err)
	}
}

func hookChangesTenant(t *testing.T, w *world) {
	err := w.as(t, "a").Create(plainHook("stray", func(tx *gorm.DB) error {
		tx.Statement.Context = tenant.NewContext(tx.Statement.Context, "b")
		return nil
	})).Error
	if !errors.Is(err, tenant.ErrMismatch) {
		t.Error(err)
	}
	var n int64
	if err := w.as(t, "b").Model(&User{}).Where("name = 'stray'").Count(&n).Error; err != nil || n != 0 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func preloadThroughRoot(t *testing.T, w *world) {
	err := w.as(t, "a").Preload("Pets", func(*gorm.DB) *gorm.DB { return w.db.Where("true") }).First(&User{}, 1).Error
	if !errors.Is(err, tenant.ErrNone) {
		t.Error(err)
	}
}

func resolverUse(t *testing.T, w *world) {
	for _, name := range []string{"nosuch", "s2"} {
		if err := w.as(t, "a").Clauses(dbresolver.Use(name)).First(&User{}).Error; err == nil || !strings.Contains(err.Error(), "dbresolver.Use") {
			t.Errorf("%s: %v", name, err)
		}
	}
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

func onlyPublic(t *testing.T, w *world) {
	if err := openPlain(t, w.dsn[0]).Exec("create table plans (id int); insert into plans values (1)").Error; err != nil {
		t.Fatal(err)
	}
	var n int64
	if err := w.as(t, "a").Table("plans").Count(&n).Error; err == nil {
		t.Errorf("a table of public was found: %d", n)
	}
	if w.as(t, "a").Migrator().HasTable("plans") {
		t.Error("HasTable saw public")
	}
}

func qualifiedTable(t *testing.T, w *world) {
	for _, name := range []string{"tenant_b.users", `"tenant_b"."users"`, "tenant_b.users AS u"} {
		var names []string
		if err := w.as(t, "a").Table(name).Pluck("name", &names).Error; !errors.Is(err, tenant.ErrForbidden) {
			t.Errorf("%s: read %v, %v", name, names, err)
		}
	}
	var n int64
	if err := w.as(t, "a").Table("information_schema.tables").Count(&n).Error; err != nil {
		t.Error(err)
	}
}

func dryRuns(t *testing.T, w *world) {
	sql := w.db.ToSQL(func(tx *gorm.DB) *gorm.DB { return tx.First(&User{}, 1) })
	if !strings.Contains(sql, `FROM "users"`) {
		t.Error(sql)
	}
	var u User
	sub := w.db.Model(&User{}).Select("id").Where("name = ?", "a")
	if err := w.as(t, "a").Where("id in (?)", sub).First(&u).Error; err != nil || u.Name != "a" {
		t.Errorf("%+v, %v", u, err)
	}
}

func errorsKeepType(t *testing.T, w *world) {
	if err := w.as(t, "a").Create(&User{Name: "a"}).Error; !errors.Is(err, gorm.ErrDuplicatedKey) {
		t.Error(err)
	}
	err := w.as(t, "a").Exec("select nonsense").Error
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "42703" {
		t.Errorf("%T %v", err, err)
	}
}

func serializable(t *testing.T, w *world) {
	err := w.as(t, "a").Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE").Error; err != nil {
			return err
		}
		var level string
		if err := tx.Raw("show transaction_isolation").Scan(&level).Error; err != nil || level != "serializable" {
			t.Errorf("%q, %v", level, err)
		}
		sees(t, tx, "a")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func tableAlias(t *testing.T, w *world) {
	var name string
	if err := w.as(t, "a").Table("users AS u").Select("u.name").Where("u.id = 1").Row().Scan(&name); err != nil || name != "a" {
		t.Errorf("%q, %v", name, err)
	}
}

func setPath(t *testing.T, w *world) {
	for _, text := range []string{
		"set search_path to tenant_b", "SET LOCAL search_path = tenant_b", "set schema 'tenant_b'",
		"select set_config('search_path', 'tenant_b', false)", "select 1; set search_path to tenant_b",
	} {
		if err := w.as(t, "a").Exec(text).Error; !errors.Is(err, tenant.ErrForbidden) {
			t.Errorf("%s: %v", text, err)
		}
		sees(t, w.as(t, "a"), "a")
	}
}

// A COMMIT inside a procedure ends the path with the transaction. What follows
// must find nothing, rather than something else.
func doCommits(t *testing.T, w *world) {
	if err := openPlain(t, w.dsn[0]).Exec("create table users (id int)").Error; err != nil {
		t.Fatal(err)
	}
	const body = "do $$ begin commit; perform count(*) from users; end $$"
	for name, err := range map[string]error{
		"simple":   w.as(t, "a").Exec(body).Error,
		"extended": w.as(t, "a").Raw(body).Row().Err(),
	} {
		if err == nil {
			t.Errorf("%s: a statement after the COMMIT found a table", name)
		}
	}
	sees(t, w.as(t, "b"), "b")
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

func TestSessionFromBeforeUseFails(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Any(t).Database(t)
	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	before := db.Session(&gorm.Session{})
	p := tenantplugin.New()
	if err := db.Use(p); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := before.Exec("select 1").Error; err == nil {
		t.Error("a session from before Use went round the plugin")
	}
}

// counting is another plugin, used before ours.
type counting struct{ n int }

func (c *counting) Name() string              { return "counting" }
func (c *counting) Initialize(*gorm.DB) error { c.n++; return nil }

func TestOtherPluginsAndConfigs(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Any(t).Database(t)
	gc := &gorm.Config{Logger: logger.Discard}
	db, err := gorm.Open(postgres.Open(dsn), gc)
	if err != nil {
		t.Fatal(err)
	}
	other := &counting{}
	if err := db.Use(other); err != nil {
		t.Fatal(err)
	}
	p := tenantplugin.New()
	if err := db.Use(p); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if other.n != 1 {
		t.Errorf("another plugin was initialised %d times", other.n)
	}
	if _, err := gorm.Open(postgres.Open(dsn), gc); err == nil {
		t.Error("one gorm.Config served two gorm.Open")
	}
	if err := db.Exec("select 1").Error; !errors.Is(err, tenant.ErrNone) {
		t.Errorf("after that: %v", err)
	}
	if err := db.Use(tenantplugin.New()); !errors.Is(err, gorm.ErrRegistered) {
		t.Errorf("two plugins: %v", err)
	}
	if err := db.Use(dbresolver.Register(dbresolver.Config{})); !errors.Is(err, gorm.ErrRegistered) {
		t.Errorf("dbresolver after the plugin: %v", err)
	}
	second := openPlain(t, dsn)
	if err := second.Use(dbresolver.Register(dbresolver.Config{})); err != nil {
		t.Fatal(err)
	}
	if err := second.Use(tenantplugin.New()); err == nil || !strings.Contains(err.Error(), "AddShard") {
		t.Errorf("dbresolver before the plugin: %v", err)
	}
}

func TestZeroConfiguration(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		db, err := gorm.Open(postgres.Open(s.Database(t)), &gorm.Config{Logger: logger.Discard})
		if err != nil {
			t.Fatal(err)
		}
		p := tenantplugin.New(tenantplugin.WithModels(&User{}, &Pet{}))
		if err := db.Use(p); err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for i, id := range []tenant.ID{"acme", "globex"} {
			if _, err := p.Registry().Create(t.Context(), tenant.Spec{ID: id}); err != nil {
				t.Fatal(err)
			}
			ctx := tenant.NewContext(t.Context(), id)
			if err := db.WithContext(ctx).Create(&User{Name: fmt.Sprint(id), Pets: make([]Pet, i)}).Error; err != nil {
				t.Fatal(err)
			}
			sees(t, db.WithContext(ctx), id)
		}
		if err := p.Registry().Suspend(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		if _, err := first(db.WithContext(tenant.NewContext(t.Context(), "acme"))); !errors.Is(err, tenant.ErrSuspended) {
			t.Error(err)
		}
	})
}
