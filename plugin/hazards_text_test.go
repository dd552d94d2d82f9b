package tenantplugin_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestTextHazards(t *testing.T) {
	eachHazard(t, []hazard{
		{"SET of the path", setPath},
		{"a DO block that commits", doCommits},
		{"a table that only public has", onlyPublic},
		{"a tenant without a schema", missingSchema},
		{"a temporary table", temporaryTable},
		{"DROP INDEX", dropIndex},
		{"commands that refuse a transaction", noTransaction},
		{"a qualified table", qualifiedTable},
		{"a model that names a schema", qualifiedModel},
		{"errors keep their type", errorsKeepType},
		{"odd and long schema names", oddSchemas},
		{"a serializable transaction", serializable},
		{"an alias in Table", tableAlias},
	})
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

func missingSchema(t *testing.T, w *world) {
	w.admin(t, 0, "create table users (id int, name text); insert into users values (1, 'everyone')")
	w.fleet.place("ghost", "s1", tenant.StateActive)
	if name, err := first(w.as(t, "ghost")); err == nil {
		t.Errorf("read %q", name)
	}
	if w.as(t, "ghost").Migrator().HasTable(&User{}) {
		t.Error("HasTable saw public")
	}
	if err := w.as(t, "ghost").AutoMigrate(&User{}); err == nil {
		t.Error("tables were made in no schema")
	}
}

// PostgreSQL searches temporary tables first unless the path says otherwise.
func temporaryTable(t *testing.T, w *world) {
	w.oneConnection(t)
	for _, text := range []string{
		"create temporary table users (id int, name text); insert into pg_temp.users values (1, 'stray')",
		"create table pg_temp.users as select 1 as id, 'stray' as name",
		"select 1 as id, 'stray' as name into temporary users",
	} {
		if err := w.as(t, "a").Exec(text).Error; err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		sees(t, w.as(t, "b"), "b")
		sees(t, w.as(t, "a"), "a")
	}
	err := w.as(t, "a").Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec("create temporary table scratch (id int)").Error; err != nil {
			return err
		}
		return tx.Exec("insert into scratch values (1)").Error
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.as(t, "b").Exec("insert into scratch values (2)").Error; err == nil {
		t.Error("one tenant's temporary table served another")
	}
}

func dropIndex(t *testing.T, w *world) {
	m := w.as(t, "a").Migrator()
	if err := w.as(t, "a").Exec("create index by_name on pets (name)").Error; err != nil {
		t.Fatal(err)
	}
	if !m.HasIndex(&Pet{}, "by_name") {
		t.Error("the index is not there")
	}
	if err := m.DropIndex(&Pet{}, "by_name"); err != nil {
		t.Error(err)
	}
	if m.HasIndex(&Pet{}, "by_name") {
		t.Error("the index is still there")
	}
}

func noTransaction(t *testing.T, w *world) {
	w.oneConnection(t)
	for _, text := range []string{
		"create index concurrently by_name on pets (name)", "vacuum pets", "reindex index concurrently by_name",
	} {
		if err := w.as(t, "a").Exec(text).Error; err != nil {
			t.Errorf("%s: %v", text, err)
		}
		sees(t, w.as(t, "b"), "b")
	}
	if n := w.indexes(t, "by_name"); n != 1 {
		t.Errorf("%d schemas have the index", n)
	}
	err := w.as(t, "a").Transaction(func(tx *gorm.DB) error {
		return tx.Exec("create index concurrently other on pets (name)").Error
	})
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "25001" {
		t.Errorf("in a transaction: %v", err)
	}
}

// indexes counts the indexes of a name in tenant a's database.
func (w *world) indexes(t *testing.T, name string) (n int) {
	t.Helper()
	if err := openPlain(t, w.dsn[0]).Raw("select count(*) from pg_indexes where indexname = ? and schemaname = 'tenant_a'", name).Scan(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

func qualifiedTable(t *testing.T, w *world) {
	long := "tenant_b." + strings.Repeat("x", 500)
	for name, shown := range map[string]string{
		"tenant_b.users": `"tenant_b.users"`, `"tenant_b"."users"`: `"tenant_b.users"`, "tenant_b.users AS u": `"tenant_b.users AS u"`,
		"tenant_b.users\n;": `"tenant_b.users\n;"`, long: `"` + long[:100] + `..."`,
	} {
		var names []string
		err := w.as(t, "a").Table(name).Pluck("name", &names).Error
		if !errors.Is(err, tenant.ErrForbidden) || !strings.Contains(err.Error(), "table "+shown+" names") {
			t.Errorf("%s: read %v, %v", name, names, err)
		}
	}
	for _, name := range []string{
		"only tenant_b.users", "only (tenant_b.users)", "(tenant_b.users cross join (select 1) y)", "/* x */ tenant_b.users", "-- x\ntenant_b.users",
		"generate_series(1, 1) g, tenant_b.users", "(select 1) x, lateral (tenant_b.users)", "TENANT_B.users", `users "a.b", "tenant_b".users`, "users, tenant_b.users as x", "users u join tenant_b.users v on u.id = v.id", `users AS u, "tenant_b"."users" v`,
	} {
		if err := w.as(t, "a").Table(name).Select("1").Find(&[]int{}).Error; !errors.Is(err, tenant.ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{
		"users u join pets p on u.id = p.user_id", "(select u.id, p.name from users u, pets p) x", "users as u, pets as p", "PG_CATALOG.pg_class c",
		"users u left join pets p on u.id = p.user_id and p.name in (u.name, p.name)", `users "u.v"`, "users u, lateral (select u.id, u.name) l",
		"unnest(array[1.5, 2.5]) x", "users u join lateral pg_catalog.generate_series(1, 2) g on true", "(values (1, 'x.y')) as v (id, name)",
		"users u join pets on pets.user_id = u.id join users w on w.id = u.id",
	} {
		if err := w.as(t, "a").Table(name).Select("1").Find(&[]int{}).Error; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	var n int64
	if err := w.as(t, "a").Table("information_schema.tables").Count(&n).Error; err != nil {
		t.Error(err)
	}
}

// foreignUser names another tenant's schema. GORM keeps a model's table name by
// type, so a name made of a request's tenant is the first request's for ever.
type foreignUser struct {
	ID   int64
	Name string
}

func (foreignUser) TableName() string { return "tenant_b.users" }

func qualifiedModel(t *testing.T, w *world) {
	db, u := w.as(t, "a"), foreignUser{Name: "x"}
	var n int64
	for what, err := range map[string]error{
		"First":       db.First(&foreignUser{}).Error,
		"Count":       db.Model(&foreignUser{}).Count(&n).Error,
		"Row":         db.Model(&foreignUser{}).Select("name").Row().Scan(new(string)),
		"Create":      db.Create(&u).Error,
		"Update":      db.Model(&foreignUser{ID: 1}).Update("name", "x").Error,
		"Delete":      db.Delete(&foreignUser{}, 1).Error,
		"AutoMigrate": db.AutoMigrate(&foreignUser{}),
		"DropTable":   db.Migrator().DropTable(&foreignUser{}),
		"AddColumn":   db.Migrator().AddColumn(&foreignUser{}, "Name"),
	} {
		if !errors.Is(err, tenant.ErrForbidden) {
			t.Errorf("%s: %v", what, err)
		}
	}
	sees(t, w.as(t, "b"), "b")
}

func errorOf[T any](_ T, err error) error { return err }

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

func oddSchemas(t *testing.T, w *world) {
	longest := strings.Repeat("x", 62)
	for id, schema := range map[tenant.ID]string{
		"quoted": `Te"nant, public`, "upper": "Tenant", "lower": "tenant", "long1": longest + "1", "long2": longest + "2",
	} {
		name := tenant.QuoteIdent(schema)
		w.admin(t, 0, "create schema "+name+"; create table "+name+".users as select 1 as id, '"+string(id)+"' as name")
		w.fleet.place(id, "s1", tenant.StateActive)
		w.fleet.change(id, func(tn *tenant.Tenant) { tn.Schema = schema })
	}
	for _, id := range []tenant.ID{"quoted", "upper", "lower", "long1", "long2"} {
		sees(t, w.as(t, id), id)
	}
	// PostgreSQL would cut it off, and find the schema of long1.
	w.fleet.place("long3", "s1", tenant.StateActive)
	w.fleet.change("long3", func(tn *tenant.Tenant) { tn.Schema = longest + "1x" })
	if name, err := first(w.as(t, "long3")); !errors.Is(err, tenant.ErrInvalidSchema) {
		t.Errorf("a schema name of 64 bytes read %q, %v", name, err)
	}
	if _, err := first(w.as(t, tenant.ID(longest+"12"))); !errors.Is(err, tenant.ErrInvalidID) {
		t.Errorf("an ID of 64 bytes: %v", err)
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
