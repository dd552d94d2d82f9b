package readme

import (
	"errors"
	"strings"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/plugin/dbresolver"

	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// fixture is a database with the plugin and tenants a and b, over one
// connection.
type fixture struct {
	dsn    string
	config *gorm.Config
	before *gorm.DB // a session from before Use
	a, b   *gorm.DB
	db     *gorm.DB
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	f := fixture{dsn: newDSN(), config: &gorm.Config{}}
	var err error
	f.db, err = gorm.Open(postgres.Open(f.dsn), f.config)
	check(err)
	f.before = f.db.WithContext(tenant.NewContext(t.Context(), "a"))
	p := tenantplugin.New(tenantplugin.WithModels(&Invoice{}))
	check(f.db.Use(p))
	t.Cleanup(func() { check(p.Close()) })
	for _, id := range []tenant.ID{"a", "b"} {
		_, err = p.Registry().Create(t.Context(), tenant.Spec{ID: id})
		check(err)
	}
	f.a = f.db.WithContext(tenant.NewContext(t.Context(), "a"))
	f.b = f.db.WithContext(tenant.NewContext(t.Context(), "b"))
	handle, err := f.db.DB()
	check(err)
	handle.SetMaxOpenConns(1)
	check(f.a.Create(&[]Invoice{{Amount: 1}, {Amount: 2}}).Error)
	return f
}

// TestWhatIsNotStopped: what the README says that this layer cannot see. A
// test that fails here asks for a better README.
func TestWhatIsNotStopped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var n int
	check(f.b.Raw("select lastval()").Scan(&n).Error)
	if n != 2 {
		t.Errorf("lastval() says %d, want the former borrower's 2", n)
	}
	check(f.b.Raw("select count(*) from tenant_a.invoices").Scan(&n).Error)
	if n != 2 {
		t.Errorf("a qualified name in raw SQL sees %d rows, want 2", n)
	}
	check(f.b.Exec("do $$ begin perform set_config('search_path', 'tenant_a', true); insert into invoices (amount) values (3); end $$").Error)
	check(f.a.Raw("select count(*) from invoices").Scan(&n).Error)
	if n != 3 {
		t.Errorf("%d rows after the other tenant's DO block, want 3", n)
	}
}

// TestWhatIsRefused: what the README says is an error.
func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var n int64
	for name, err := range map[string]error{
		"qualified Table": f.b.Table("tenant_a.invoices").Count(&n).Error,
		"SET search_path": f.b.Exec("set search_path to tenant_a").Error,
		"set_config":      f.b.Exec("select set_config('search_path', 'tenant_a', false)").Error,
	} {
		if !errors.Is(err, tenant.ErrForbidden) {
			t.Errorf("%s: error %v, want ErrForbidden", name, err)
		}
	}
	if err := f.a.Clauses(dbresolver.Use("other")).Find(&[]Invoice{}).Error; err == nil {
		t.Error("dbresolver.Use was taken")
	}
	if err := f.before.Transaction(func(*gorm.DB) error { return nil }); err == nil {
		t.Error("a transaction of a session from before Use began")
	}
	if _, err := gorm.Open(postgres.Open(f.dsn), f.config); err == nil || !strings.Contains(err.Error(), "gorm.Config of its own") {
		t.Errorf("a second Open with the same Config: %v", err)
	}
	if err := f.a.Find(&[]Invoice{}).Error; err != nil {
		t.Errorf("after that Open: %v", err)
	}
	if _, err := gorm.Open(postgres.Open(f.dsn+"&TimeZone=Asia%2FShanghai"), &gorm.Config{}); err == nil {
		t.Error("GORM's driver takes an encoded TimeZone now")
	}
	other, err := gorm.Open(postgres.Open(newDSN()), &gorm.Config{})
	check(err)
	check(other.Use(dbresolver.Register(dbresolver.Config{})))
	if err := other.Use(tenantplugin.New()); err == nil || !strings.Contains(err.Error(), "dbresolver") {
		t.Errorf("Use behind dbresolver: %v", err)
	}
	handle, err := other.DB()
	check(err)
	check(handle.Close())
}

// TestSessionState: what a statement leaves on its session ends with it,
// unless db.Connection or a transaction holds the connection.
func TestSessionState(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	setting := func(db *gorm.DB) (s string) {
		check(db.Raw("select current_setting('statement_timeout')").Scan(&s).Error)
		return s
	}
	check(f.a.Exec("set statement_timeout = '7s'").Error)
	if got := setting(f.a); got != "0" {
		t.Errorf("SET outlived its statement: %s", got)
	}
	check(f.a.Connection(func(db *gorm.DB) error {
		check(db.Exec("set statement_timeout = '7s'").Error)
		if got := setting(db); got != "7s" {
			t.Errorf("SET did not last inside db.Connection: %s", got)
		}
		return nil
	}))
	if got := setting(f.b); got != "0" {
		t.Errorf("SET reached another tenant: %s", got)
	}
}
