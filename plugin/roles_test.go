package tenantplugin_test

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestRolesOrdinary(t *testing.T) {
	onStrict(t, func(w *strictWorld) {
		for _, id := range []tenant.ID{"a", "b", "a"} {
			tn, err := w.reg.Lookup(w.Context(), id)
			if err != nil {
				w.Fatal(err)
			}
			db := w.as(id)
			sees(w.T, db, id)
			var is struct{ Role, Login, Path string }
			if err := db.Raw("select current_user as role, session_user as login, current_setting('search_path') as path").Scan(&is).Error; err != nil ||
				is.Role != tn.Role || is.Login != tn.Login || is.Path != `"`+tn.Schema+`", pg_temp` {
				w.Errorf("%s: %+v, %v", id, is, err)
			}
			err = db.Transaction(func(tx *gorm.DB) error {
				var u User
				err := tx.Preload("Pets").Where("name = ?", id).First(&u).Error
				if err == nil && (len(u.Pets) != 1 || u.Pets[0].Name != string(id)) {
					w.Errorf("%+v", u)
				}
				more := User{Name: "more", Pets: []Pet{{Name: "x"}}}
				return errors.Join(err, tx.Create(&more).Error, tx.Transaction(func(tx *gorm.DB) error {
					return tx.Model(&more).Update("name", "most").Error
				}), tx.Select("Pets").Delete(&more).Error)
			})
			if err != nil {
				w.Errorf("%s: %v", id, err)
			}
			res := db.Exec("update pets set name = name")
			if res.Error != nil || res.RowsAffected != 1 {
				w.Errorf("%d rows, %v", res.RowsAffected, res.Error)
			}
		}
		var user string
		if err := w.db.WithContext(tenant.Shared(w.Context())).Raw("select session_user").Scan(&user).Error; err != nil || strings.HasPrefix(user, "gt_") {
			w.Errorf("shared statements run as %q, %v", user, err)
		}
		if err := w.as("a").AutoMigrate(&struct {
			gorm.Model
			Other string
		}{}); err == nil {
			w.Error("a tenant made a table")
		}
		if err := w.db.Exec("select 1").Error; !errors.Is(err, tenant.ErrNone) {
			w.Errorf("no tenant: %v", err)
		}
	})
}

// Whatever GORM is given of another tenant's, the server denies.
func TestRolesDeny(t *testing.T) {
	onStrict(t, func(w *strictWorld) {
		const theirs = `"tenant_b"."users"`
		db := w.as("a")
		for name, read := range map[string]func(db *gorm.DB, to any) error{
			"raw": func(db *gorm.DB, to any) error { return db.Raw("select name from " + theirs).Scan(to).Error },
			"union": func(db *gorm.DB, to any) error {
				return db.Raw("select name from users union select name from " + theirs).Scan(to).Error
			},
			"where": func(db *gorm.DB, to any) error {
				return db.Model(&User{}).Where("name in (select name from "+theirs+")").Pluck("name", to).Error
			},
			"injected": func(db *gorm.DB, to any) error {
				return db.Model(&User{}).Where("name = '"+"' or exists (select from "+theirs+") --'").Pluck("name", to).Error
			},
			"joins": func(db *gorm.DB, to any) error {
				return db.Model(&User{}).Joins("join "+theirs+" b on true").Pluck("b.name", to).Error
			},
			"select": func(db *gorm.DB, to any) error {
				return db.Model(&User{}).Select("(select name from " + theirs + " limit 1)").Scan(to).Error
			},
			"order": func(db *gorm.DB, to any) error {
				return db.Model(&User{}).Order("(select name from "+theirs+" limit 1)").Pluck("name", to).Error
			},
			"subquery": func(db *gorm.DB, to any) error {
				return db.Table("(?) as u", db.Raw("select * from "+theirs)).Pluck("name", to).Error
			},
			"exec": func(db *gorm.DB, _ any) error { return db.Exec("update " + theirs + " set name = 'a'").Error },
			"insert": func(db *gorm.DB, _ any) error {
				return db.Exec("insert into users (name) select name || 'x' from " + theirs).Error
			},
			"expr": func(db *gorm.DB, _ any) error {
				return db.Model(&User{ID: 1}).Update("name", gorm.Expr("(select name from "+theirs+" limit 1)")).Error
			},
			"several": func(db *gorm.DB, _ any) error {
				return db.Exec("reset role; update " + theirs + " set name = 'a'").Error
			},
			"hidden": func(db *gorm.DB, _ any) error { return db.Exec("select 1; set role none").Error },
			"do":     func(db *gorm.DB, _ any) error { return db.Exec("do $$ begin reset role; end $$").Error },
			"vacuum": func(db *gorm.DB, _ any) error { return db.Exec("vacuum users").Error },
		} {
			for _, inTx := range []bool{false, true} {
				var got []string
				attack := func(db *gorm.DB) error { return read(db, &got) }
				err := attack(db)
				if inTx {
					err = db.Transaction(attack)
				}
				var pg *pgconn.PgError
				denied := errors.As(err, &pg) && (pg.Code == "42501" || pg.Code == "42601") || errors.Is(err, tenant.ErrForbidden)
				if !denied || slices.Contains(got, "b") {
					w.Errorf("%s: %q, %v", name, got, err)
				}
			}
		}
		sees(w.T, db, "a")
		sees(w.T, w.as("b"), "b")
	})
}

// Tenants of another bucket have another login, other connections, and no way into a
// transaction of this one's.
func TestRolesOfBuckets(t *testing.T) {
	onStrict(t, func(w *strictWorld) {
		eventually(w.T, "roles at rest", func() bool {
			var n int
			err := w.admin.QueryRow("select count(*) from tenancy.roles where state = 'free'").Scan(&n)
			return err == nil && n >= 25
		})
		w.exec(`update tenancy.roles set state = 'spoiled' where state = 'free'`)
		w.exec(`insert into tenancy.roles (name, shard, login, state) select 'gt_x' || n || login, shard, login, 'spoiled'
			from (select shard, login from tenancy.roles limit 1) l, generate_series(1, 1000) n`)
		c := w.create("c")
		a, err := w.reg.Lookup(w.Context(), "a")
		if err != nil || c.Login == a.Login {
			w.Fatalf("c has a's login, %v", err)
		}
		for range 3 {
			for _, id := range []tenant.ID{"a", "c", "b"} {
				sees(w.T, w.as(id), id)
			}
		}
		seen := map[string]bool{}
		for _, s := range w.p.Stats() {
			if s.Open > 0 {
				seen[s.Login] = true
			}
		}
		if !seen[a.Login] || !seen[c.Login] {
			w.Errorf("pools of %v", seen)
		}
		for _, id := range []tenant.ID{"b", "c"} {
			err := w.as("a").Transaction(func(tx *gorm.DB) error {
				_, err := first(tx)
				_, other := first(tx.WithContext(tenant.NewContext(w.Context(), id)))
				if !errors.Is(other, tenant.ErrMismatch) {
					w.Errorf("%s in a's transaction: %v", id, other)
				}
				return err
			})
			if err == nil {
				w.Error("the transaction was committed")
			}
		}
		err = w.db.WithContext(w.Context()).Connection(func(one *gorm.DB) error {
			for _, id := range []tenant.ID{"a", "c", "b", "a"} {
				sees(w.T, one.WithContext(tenant.NewContext(w.Context(), id)), id)
			}
			return nil
		})
		if err != nil {
			w.Error(err)
		}
	})
}

// A tenant without a role does not run until it has one.
func TestRolesAreRequired(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		w := newStrictWorld(t, s, &gorm.Config{})
		w.exec("update tenancy.tenants set role = '', login = '' where id = 'a'")
		eventually(t, "its role is gone", func() bool {
			tn, err := w.reg.Lookup(t.Context(), "a")
			return err == nil && tn.Role == ""
		})
		if _, err := first(w.as("a")); !errors.Is(err, tenant.ErrNoRole) {
			t.Errorf("%v", err)
		}
		if err := w.as("a").Raw("select 1").Row().Scan(new(int)); !errors.Is(err, tenant.ErrNoRole) {
			t.Errorf("a row: %v", err)
		}
		if err := w.as("a").Begin().Error; !errors.Is(err, tenant.ErrNoRole) {
			t.Errorf("%v", err)
		}
		handle, err := w.db.DB()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := handle.ExecContext(tenant.NewContext(t.Context(), "a"), "select 1"); !errors.Is(err, tenant.ErrNoRole) {
			t.Errorf("on the handle: %v", err)
		}
		sees(t, w.as("b"), "b")
		if n, err := w.reg.EnsureRoles(t.Context()); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		sees(t, w.as("a"), "a")
	})
}

// A password that was changed, on the shard and in the control plane, is used by the
// next connection; one that the control plane does not know of fails what needs a new
// connection, and says nothing of itself.
func TestRolesPasswordIsChanged(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		w := newStrictWorld(t, s, &gorm.Config{})
		tn, err := w.reg.Lookup(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		drop := func() {
			w.exec("select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = $1", tn.Login)
		}
		w.askPassword(tn.Login)
		drop()
		eventually(t, "a connection by the password", func() bool {
			name, err := first(w.as("a"))
			return err == nil && name == "a"
		})
		w.exec(fmt.Sprintf("alter role %s password 's3cr3t-one'", tn.Login))
		sees(t, w.as("a"), "a") // the connection that is open stays
		drop()
		eventually(t, "the old password is refused", func() bool {
			_, err := first(w.as("a"))
			var pg *pgconn.PgError
			return errors.As(err, &pg) && pg.Code == "28P01" && !strings.Contains(err.Error(), "s3cr3t")
		})
		w.exec("update tenancy.logins set password = 's3cr3t-one' where name = $1", tn.Login)
		eventually(t, "the new password is used", func() bool {
			name, err := first(w.as("a"))
			return err == nil && name == "a"
		})
	})
}

func TestRolesWithMigrations(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		files := fstest.MapFS{"00001_a.sql": {Data: []byte(`-- +goose Up
create table users (id bigserial primary key, name text);
create table pets (id bigserial primary key, user_id bigint, name text);`)}}
		w := newStrictWorld(t, s, &gorm.Config{}, tenantplugin.WithMigrations(files))
		sees(t, w.as("a"), "a")
		sees(t, w.as("b"), "b")
	})
}

// What tenants share is theirs to read once PUBLIC may.
func TestRolesSharePath(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		w := newStrictWorld(t, s, &gorm.Config{}, tenantplugin.WithModels(&User{}, &Pet{}), tenantplugin.WithSearchPath("reference"))
		w.exec("create schema reference; create table reference.plans (name text); insert into reference.plans values ('gold')")
		read := func() (plans []string, err error) {
			err = w.as("a").Table("plans").Pluck("name", &plans).Error
			return plans, err
		}
		w.exec("grant usage on schema reference to public")
		var pg *pgconn.PgError
		if plans, err := read(); !errors.As(err, &pg) || pg.Code != "42501" {
			t.Errorf("not granted: %q, %v", plans, err)
		}
		w.exec("grant select on reference.plans to public")
		if plans, err := read(); err != nil || !slices.Equal(plans, []string{"gold"}) {
			t.Errorf("granted: %q, %v", plans, err)
		}
	})
}

func TestRolesContradictions(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		dsn := s.Database(t)
		conn, err := sql.Open("pgx", dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for name, c := range map[string]struct {
			config postgres.Config
			opts   []tenantplugin.Option
			says   string
		}{
			"a directory without logins": {postgres.Config{DSN: dsn}, []tenantplugin.Option{tenantplugin.WithDirectory(&fleet{})}, "resolver.Logins"},
			"a pool of its own":          {postgres.Config{DSN: dsn, Conn: conn}, nil, "postgres.Open"},
			"the simple protocol":        {postgres.Config{DSN: dsn, PreferSimpleProtocol: true}, nil, "simple protocol"},
			"the simple protocol by DSN": {postgres.Config{DSN: dsn + "&default_query_exec_mode=simple_protocol"}, []tenantplugin.Option{tenantplugin.WithTransactionPooler()}, "simple protocol"},
		} {
			db, err := gorm.Open(postgres.New(c.config), &gorm.Config{Logger: logger.Discard})
			if err != nil {
				t.Fatal(err)
			}
			err = db.Use(tenantplugin.New(append(c.opts, tenantplugin.WithRoles())...))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", name, err)
			}
			closeDB(t, db)
		}
	})
}
