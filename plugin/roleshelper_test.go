package tenantplugin_test

import (
	"database/sql"
	"fmt"
	"os"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// strictWorld is an application in strict mode, with tenants a and b, whose user 1
// bears the tenant's name and has a pet.
type strictWorld struct {
	*testing.T
	dsn   string
	db    *gorm.DB
	reg   *registry.Registry
	p     *tenantplugin.Plugin
	admin *sql.DB
}

func newStrictWorld(t *testing.T, s *pgtest.Server, gc *gorm.Config, opts ...tenantplugin.Option) *strictWorld {
	t.Helper()
	w := &strictWorld{T: t, dsn: s.Database(t)}
	var err error
	if w.admin, err = sql.Open("pgx", w.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.dropRoles)
	gc.Logger = logger.Discard
	if w.db, err = gorm.Open(postgres.Open(w.dsn), gc); err != nil {
		t.Fatal(err)
	}
	if opts == nil {
		opts = []tenantplugin.Option{tenantplugin.WithModels(&User{}, &Pet{})}
	}
	w.p = tenantplugin.New(append(opts, tenantplugin.WithRoles())...)
	if err := w.db.Use(w.p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.p.Close(); err != nil {
			t.Error(err)
		}
	})
	w.reg = w.p.Registry()
	for _, id := range []tenant.ID{"a", "b"} {
		w.create(id)
	}
	return w
}

func (w *strictWorld) create(id tenant.ID) tenant.Tenant {
	w.Helper()
	tn, err := w.reg.Create(w.Context(), tenant.Spec{ID: id})
	if err != nil {
		w.Fatal(err)
	}
	if err := w.as(id).Create(&User{Name: string(id), Pets: []Pet{{Name: string(id)}}}).Error; err != nil {
		w.Fatal(err)
	}
	return tn
}

func (w *strictWorld) as(id tenant.ID) *gorm.DB {
	return w.db.WithContext(tenant.NewContext(w.Context(), id))
}

func (w *strictWorld) exec(text string, args ...any) {
	w.Helper()
	if _, err := w.admin.Exec(text, args...); err != nil {
		w.Fatalf("%s: %v", text, err)
	}
}

// dropRoles drops the roles that the registry made: they are the server's.
func (w *strictWorld) dropRoles() {
	defer w.admin.Close()
	w.exec(`DO $$ DECLARE n text; BEGIN
		FOR n IN SELECT name FROM tenancy.roles UNION ALL SELECT name FROM tenancy.logins LOOP
			IF EXISTS (SELECT FROM pg_roles WHERE rolname = n) THEN EXECUTE format('DROP OWNED BY %I', n); EXECUTE format('DROP ROLE %I', n); END IF;
		END LOOP; END $$`)
}

func onStrict(t *testing.T, test func(w *strictWorld)) {
	t.Helper()
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		for _, prepare := range []bool{false, true} {
			t.Run(fmt.Sprintf("prepare=%t", prepare), func(t *testing.T) {
				test(newStrictWorld(t, s, &gorm.Config{PrepareStmt: prepare}))
			})
		}
	})
}

// askPassword makes the server, which trusts everybody, ask for a login's password.
func (w *strictWorld) askPassword(login string) {
	w.Helper()
	var file, rules, database string
	if err := w.admin.QueryRow("select current_setting('hba_file'), pg_read_file(current_setting('hba_file')), current_database()").Scan(&file, &rules, &database); err != nil {
		w.Fatal(err)
	}
	rule := fmt.Sprintf("host %s %s all scram-sha-256\nlocal %[1]s %[2]s scram-sha-256\n", database, login)
	if err := os.WriteFile(file, []byte(rule+rules), 0o600); err != nil {
		w.Fatal(err)
	}
	w.exec("select pg_reload_conf()")
	eventually(w.T, "the rule to be read", func() bool {
		var n int
		err := w.admin.QueryRow("select count(*) from pg_hba_file_rules where user_name = array[$1]", login).Scan(&n)
		return err == nil && n == 2
	})
	w.Cleanup(func() {
		if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
			w.Error(err)
		}
	})
}
