package tenantplugin_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/DATA-DOG/go-sqlmock"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// The road of an application that opened its pool itself, statement by
// statement, as a driver sees it.

const (
	scopeText = `select pg_catalog.set_config('search_path', case when not exists (select from pg_catalog.pg_depend` +
		` where refclassid operator(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass` +
		` and refobjid operator(pg_catalog.=) pg_catalog.pg_my_temp_schema()) then $1 else '"' end, true)`
	firstText  = `SELECT * FROM "users" WHERE "users"."id" = $1 ORDER BY "users"."id" LIMIT $2`
	insertText = `INSERT INTO "users" ("name") VALUES ($1) RETURNING "id"`
	pathOfA    = `"tenant_a", pg_temp`
)

var (
	errBroken = errors.New("broken")
	done      = sqlmock.NewResult(0, 0)
)

// mocked returns a database with the plugin over a mock, with tenants a and b.
func mocked(t *testing.T, opts ...tenantplugin.Option) (*gorm.DB, sqlmock.Sqlmock) {
	t.Helper()
	pool, mock, err := sqlmock.New(sqlmock.QueryMatcherOption(sqlmock.QueryMatcherEqual))
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{tenants: map[tenant.ID]tenant.Tenant{}, shards: map[string]tenant.Shard{"s1": {Name: "s1"}}}
	f.place("a", "s1", tenant.StateActive)
	f.place("b", "s1", tenant.StateActive)
	f.shards["s2"] = tenant.Shard{Name: "s2", Primary: "postgres://elsewhere/x"}
	f.place("c", "s2", tenant.StateActive)
	db, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	p := tenantplugin.New(append([]tenantplugin.Option{tenantplugin.WithDirectory(f)}, opts...)...)
	if err := db.Use(p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mock.ExpectationsWereMet(); err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		_ = pool.Close() // the mock wants the end of each connection announced
	})
	return db, mock
}

func as(t *testing.T, db *gorm.DB, id tenant.ID) *gorm.DB {
	t.Helper()
	return db.WithContext(tenant.NewContext(t.Context(), id))
}

func users(names ...string) *sqlmock.Rows {
	rows := sqlmock.NewRows([]string{"id", "name"})
	for i, name := range names {
		rows.AddRow(i+1, name)
	}
	return rows
}

// scoped expects the beginning of a scope of tenant a.
func scoped(mock sqlmock.Sqlmock) {
	mock.ExpectBegin()
	mock.ExpectExec(scopeText).WithArgs(pathOfA).WillReturnResult(done)
}

// portableCase is what a statement of tenant a makes the driver do.
type portableCase struct {
	expect func(sqlmock.Sqlmock)
	run    func(*gorm.DB) error
	want   error
}

var portableServed = map[string]portableCase{
	"read": {
		func(m sqlmock.Sqlmock) {
			scoped(m)
			m.ExpectQuery(firstText).WithArgs(1, 1).WillReturnRows(users("a"))
			m.ExpectCommit()
		},
		func(db *gorm.DB) error { return named(db, "a") }, nil,
	},
	"create": {
		func(m sqlmock.Sqlmock) {
			scoped(m)
			m.ExpectQuery(insertText).WithArgs("x").WillReturnRows(sqlmock.NewRows([]string{"id"}).AddRow(7))
			m.ExpectCommit()
		},
		func(db *gorm.DB) error { return db.Create(&User{Name: "x"}).Error }, nil,
	},
	"exec": {
		func(m sqlmock.Sqlmock) {
			scoped(m)
			m.ExpectExec("delete from users").WillReturnResult(sqlmock.NewResult(0, 3))
			m.ExpectCommit()
		},
		func(db *gorm.DB) error { return db.Exec("delete from users").Error }, nil,
	},
	"transaction": {
		func(m sqlmock.Sqlmock) {
			scoped(m)
			m.ExpectQuery(firstText).WithArgs(1, 1).WillReturnRows(users("a"))
			m.ExpectExec("update users set name = $1").WithArgs("y").WillReturnResult(done)
			m.ExpectCommit()
		},
		func(db *gorm.DB) error {
			return db.Transaction(func(tx *gorm.DB) error {
				return errors.Join(named(tx, "a"), tx.Exec("update users set name = ?", "y").Error)
			})
		}, nil,
	},
	"savepoint": {
		func(m sqlmock.Sqlmock) {
			scoped(m)
			m.ExpectExec("SAVEPOINT sp").WillReturnResult(done)
			m.ExpectExec("ROLLBACK TO SAVEPOINT sp").WillReturnResult(done)
			m.ExpectRollback()
		},
		func(db *gorm.DB) error {
			return db.Transaction(func(tx *gorm.DB) error {
				return errors.Join(tx.SavePoint("sp").Error, tx.RollbackTo("sp").Error, errBroken)
			})
		}, errBroken,
	},
}

var portableFailed = map[string]portableCase{
	"no connection": {
		func(m sqlmock.Sqlmock) { m.ExpectBegin().WillReturnError(errBroken) },
		func(db *gorm.DB) error { return named(db, "a") }, errBroken,
	},
	"the scope fails": {
		func(m sqlmock.Sqlmock) {
			m.ExpectBegin()
			m.ExpectExec(scopeText).WithArgs(pathOfA).WillReturnError(errBroken)
			m.ExpectRollback()
		},
		func(db *gorm.DB) error { return named(db, "a") }, errBroken,
	},
	"the query fails": {
		func(m sqlmock.Sqlmock) {
			scoped(m)
			m.ExpectQuery(firstText).WithArgs(1, 1).WillReturnError(errBroken)
			m.ExpectRollback()
		},
		func(db *gorm.DB) error { return named(db, "a") }, errBroken,
	},
	"the statement fails": {
		func(m sqlmock.Sqlmock) {
			scoped(m)
			m.ExpectExec("delete from users").WillReturnError(errBroken)
			m.ExpectRollback()
		},
		func(db *gorm.DB) error { return db.Exec("delete from users").Error }, errBroken,
	},
	"the commit fails": {
		func(m sqlmock.Sqlmock) {
			scoped(m)
			m.ExpectExec("delete from users").WillReturnResult(done)
			m.ExpectCommit().WillReturnError(errBroken)
		},
		func(db *gorm.DB) error { return db.Exec("delete from users").Error }, errBroken,
	},
	"another tenant inside": {
		func(m sqlmock.Sqlmock) {
			scoped(m)
			m.ExpectRollback()
		},
		func(db *gorm.DB) error {
			return db.Transaction(func(tx *gorm.DB) error {
				return named(tx.WithContext(tenant.NewContext(db.Statement.Context, "b")), "b")
			})
		}, tenant.ErrMismatch,
	},
	"another tenant inside, ignored": {
		func(m sqlmock.Sqlmock) {
			scoped(m)
			m.ExpectRollback()
		},
		func(db *gorm.DB) error {
			return db.Transaction(func(tx *gorm.DB) error {
				_ = named(tx.WithContext(tenant.NewContext(db.Statement.Context, "b")), "b")
				return nil
			})
		}, sql.ErrTxDone,
	},
}

// Nothing of these may reach the driver.
var portableRefused = map[string]portableCase{
	"no tenant":         {nothing, func(db *gorm.DB) error { return named(tenantless(db), "") }, tenant.ErrNone},
	"no tenant, create": {nothing, func(db *gorm.DB) error { return tenantless(db).Create(&User{}).Error }, tenant.ErrNone},
	"no tenant, begin":  {nothing, func(db *gorm.DB) error { return tenantless(db).Begin().Error }, tenant.ErrNone},
	"the path":          {nothing, func(db *gorm.DB) error { return db.Exec("set search_path = tenant_b").Error }, tenant.ErrForbidden},
	"a raw commit":      {nothing, func(db *gorm.DB) error { return db.Exec("commit; insert into users (name) values ('x')").Error }, tenant.ErrForbidden},
	"a foreign table":   {nothing, func(db *gorm.DB) error { return db.Table("tenant_b.users").Find(&[]User{}).Error }, tenant.ErrForbidden},
	"the path, in a row": {nothing, func(db *gorm.DB) error {
		return db.Raw("select set_config('search_path', 'tenant_b', false)").Row().Err()
	}, tenant.ErrForbidden},
}

func TestPortableStatements(t *testing.T) {
	t.Parallel()
	for _, cases := range []map[string]portableCase{portableServed, portableFailed, portableRefused} {
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				db, mock := mocked(t)
				c.expect(mock)
				if err := c.run(as(t, db, "a")); !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			})
		}
	}
}

func nothing(sqlmock.Sqlmock) {}

func tenantless(db *gorm.DB) *gorm.DB {
	return db.WithContext(context.Background())
}

// named reads user 1, who must have the name.
func named(db *gorm.DB, name string) error {
	got, err := first(db)
	if err == nil && got != name {
		err = errors.New("read " + got)
	}
	return err
}

// The rows of a query keep its transaction open.
func TestPortableRows(t *testing.T) {
	t.Parallel()
	db, mock := mocked(t)
	scoped(mock)
	mock.ExpectQuery("select id, name from users").WillReturnRows(users("a", "z"))
	rows, err := as(t, db, "a").Raw("select id, name from users").Rows()
	if err != nil {
		t.Fatal(err)
	}
	if !rows.Next() || mock.ExpectationsWereMet() != nil {
		t.Error("the transaction's end was expected too early")
	}
	mock.ExpectCommit()
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
}

func TestPortableLimits(t *testing.T) {
	t.Parallel()
	db, _ := mocked(t)
	for _, text := range []string{"create index concurrently i on users (name)", "vacuum users"} {
		if err := as(t, db, "a").Exec(text).Error; err == nil || !strings.Contains(err.Error(), "open GORM with postgres.Open") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := first(as(t, db, "c")); err == nil {
		t.Error("a shard elsewhere was reached through a foreign pool")
	}
	pool, mock, err := sqlmock.New()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		mock.ExpectClose()
		_ = pool.Close()
	}()
	other, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Use(tenantplugin.New()); err == nil {
		t.Error("the control plane was opened without a DSN")
	}
	if cp, ok := other.ConnPool.(*sql.DB); !ok || cp != pool {
		t.Error("the failed Use took the pool away")
	}
}

func TestPortableSharedSchemas(t *testing.T) {
	t.Parallel()
	db, mock := mocked(t, tenantplugin.WithSearchPath("extensions"), tenantplugin.WithSharedSchema("common"))
	mock.ExpectBegin()
	mock.ExpectExec(scopeText).WithArgs(`"tenant_a", "extensions", pg_temp`).WillReturnResult(done)
	mock.ExpectExec("select 1").WillReturnResult(done)
	mock.ExpectCommit()
	mock.ExpectBegin()
	mock.ExpectExec(scopeText).WithArgs(`"common", "extensions", pg_temp`).WillReturnResult(done)
	mock.ExpectExec("select 2").WillReturnResult(done)
	mock.ExpectCommit()
	if err := as(t, db, "a").Exec("select 1").Error; err != nil {
		t.Error(err)
	}
	if err := db.WithContext(tenant.Shared(t.Context())).Exec("select 2").Error; err != nil {
		t.Error(err)
	}
}

func TestPortableObserver(t *testing.T) {
	t.Parallel()
	n := &notebook{}
	db, mock := mocked(t, tenantplugin.WithObserver(n))
	scoped(mock)
	mock.ExpectExec("delete from users").WillReturnResult(sqlmock.NewResult(0, 3))
	mock.ExpectCommit()
	scoped(mock)
	mock.ExpectQuery("select 1").WillReturnError(errBroken)
	mock.ExpectRollback()
	seen := n.of(func() {
		ok(t, as(t, db, "a").Exec("delete from users").Error)
		_ = as(t, db, "a").Raw("select 1").Row().Err()
	})
	if len(seen) != 2 {
		t.Fatalf("observed %+v", seen)
	}
	for i, want := range []tenantplugin.Statement{
		{Tenant: "a", Kind: tenantplugin.KindWrite, Rows: 3, Shard: "s1", Node: "primary", Text: "delete from users"},
		{Tenant: "a", Kind: tenantplugin.KindRead, Rows: -1, Shard: "s1", Node: "primary", Text: "select 1", Err: errBroken},
	} {
		want.Duration, want.Busy, want.Wait = seen[i].Duration, seen[i].Busy, seen[i].Wait
		if seen[i] != want {
			t.Errorf("observed %+v\nwant     %+v", seen[i], want)
		}
	}
}
