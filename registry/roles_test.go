package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// openRoles opens a registry with roles, whose tenants get a table with a sequence.
// The roles are dropped when the test ends.
func openRoles(t testing.TB, dsn string, change ...func(*Config)) *Registry {
	t.Helper()
	cfg := Config{DSN: dsn, HomeShard: "default", Roles: true}
	for _, f := range change {
		f(&cfg)
	}
	dropRoles(t, dsn)
	r := open(t, cfg)
	r.SetRecipe(Recipe{Name: "things"})
	r.SetScript("things", func(schema string) string {
		return fmt.Sprintf("CREATE TABLE %s.things (id serial PRIMARY KEY, owner text)", tenant.QuoteIdent(schema))
	})
	return r
}

// dropRoles drops, at the test's end, all roles that its control plane made.
func dropRoles(t testing.TB, dsn string) {
	t.Helper()
	t.Cleanup(func() {
		names := query[[]string](t, dsn, `SELECT coalesce(array_agg(name), '{}') FROM
			(SELECT name FROM tenancy.roles UNION ALL SELECT name FROM tenancy.logins) n (name) WHERE name IN (SELECT rolname FROM pg_roles)`)
		for _, name := range names {
			run(t, dsn, fmt.Sprintf("DROP OWNED BY %s; DROP ROLE %[1]s", tenant.QuoteIdent(name)))
		}
	})
}

// under opens a session of t's login.
func under(t testing.TB, r *Registry, tn tenant.Tenant) *pgx.Conn {
	t.Helper()
	password := must(r.Login(t.Context(), tn.Placement.Shard, tn.Login))(t)
	conn := must(pgx.ConnectConfig(t.Context(), as(t, r, tn.Login, password.Reveal())))(t)
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func as(t testing.TB, r *Registry, user, password string) *pgx.ConnConfig {
	t.Helper()
	conf := must(pgx.ParseConfig(r.conn.ConnString()))(t)
	conf.User, conf.Password = user, password
	return conf
}

// may runs a statement under a role, and returns its error.
func may(t testing.TB, conn *pgx.Conn, role, sql string) error {
	t.Helper()
	return pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "SET LOCAL ROLE "+tenant.QuoteIdent(role)); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), sql)
		return err
	})
}

const insufficient = "42501"

func TestCreateGivesRole(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		dsn := s.Database(t)
		r := openRoles(t, dsn)
		a, b := create(t, r, "a"), create(t, r, "b")
		if a.Role == "" || a.Role == b.Role || a.Login == "" || a.Login != b.Login {
			t.Fatalf("roles %q and %q of logins %q and %q", a.Role, b.Role, a.Login, b.Login)
		}
		run(t, dsn, "CREATE TABLE tenant_a.later (id serial, n int)") // as a migration does
		conn := under(t, r, a)
		for _, sql := range []string{
			"INSERT INTO tenant_a.things (owner) VALUES ('a'), ('b')", "SELECT * FROM tenant_a.things", "UPDATE tenant_a.things SET owner = 'a'",
			"DELETE FROM tenant_a.things", "INSERT INTO tenant_a.later (n) VALUES (1)", "TRUNCATE tenant_a.later",
		} {
			if err := may(t, conn, a.Role, sql); err != nil {
				t.Errorf("%s: %v", sql, err)
			}
			if err := may(t, conn, b.Role, sql); sqlState(err) != insufficient {
				t.Errorf("%s as another tenant: %v", sql, err)
			}
			if err := may(t, conn, "none", sql); err == nil {
				t.Errorf("%s as nobody", sql)
			}
			if _, err := conn.Exec(t.Context(), sql); sqlState(err) != insufficient {
				t.Errorf("%s as the login itself: %v", sql, err)
			}
		}
		for _, sql := range []string{"CREATE TABLE tenant_a.mine (a int)", "DROP TABLE tenant_a.things", "ALTER TABLE tenant_a.things ADD b int"} {
			if err := may(t, conn, a.Role, sql); sqlState(err) != insufficient {
				t.Errorf("%s: %v", sql, err)
			}
		}
	})
}

// A shard's user is no superuser as a rule.
func TestRolesByOrdinaryUser(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		dsn := s.Database(t)
		name, short := newRole(), newRole()
		db := query[string](t, dsn, "SELECT current_database()::text")
		run(t, dsn, fmt.Sprintf(`CREATE ROLE %[1]s LOGIN CREATEROLE PASSWORD '%[2]s'; CREATE ROLE %[4]s LOGIN PASSWORD '%[2]s';
			GRANT ALL ON DATABASE %[3]s TO %[1]s, %[4]s`, name, password, db, short))
		t.Cleanup(func() { run(t, dsn, fmt.Sprintf("DROP OWNED BY %s, %s; DROP ROLE %[1]s, %[2]s", name, short)) })
		u := must(url.Parse(dsn))(t)
		u.User = url.UserPassword(name, password)
		r := openRoles(t, dsn, func(c *Config) { c.DSN = u.String() })
		a := create(t, r, "a")
		if err := may(t, under(t, r, a), a.Role, "INSERT INTO tenant_a.things (owner) VALUES ('a')"); err != nil {
			t.Error(err)
		}
		if _, err := r.EnsureRole(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		u.User = url.UserPassword(short, password)
		poor := open(t, Config{DSN: u.String(), Schema: "poor", HomeShard: "default", Roles: true})
		_, err := poor.Create(t.Context(), tenant.Spec{ID: "b"})
		if sqlState(err) != insufficient || !strings.Contains(err.Error(), "CREATEROLE") {
			t.Errorf("without CREATEROLE: %v", err)
		}
	})
}

// Passwords are in the control plane, in the memory of who needs them, and nowhere
// else.
func TestLoginPasswordsAreHidden(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	r := openRoles(t, dsn)
	a := create(t, r, "a")
	secret := must(r.Login(t.Context(), "default", a.Login))(t).Reveal()
	events := must(r.Events(t.Context(), EventFilter{}))(t)
	shown := fmt.Sprintf("%+v %#v %s %s %v", a, a, must(json.Marshal(a))(t), must(json.Marshal(events))(t), r)
	for _, e := range events {
		shown += fmt.Sprintf("%s %s", e.Before, e.After)
	}
	if secret == "" || strings.Contains(shown, secret) {
		t.Error(shown)
	}
	stored := query[string](t, dsn, "SELECT rolpassword FROM pg_authid WHERE rolname = $1", a.Login)
	if !strings.HasPrefix(stored, "SCRAM-SHA-256$") {
		t.Errorf("stored as %q", stored)
	}
	for _, login := range []string{"nosuch", "", a.Role} {
		if _, err := r.Login(t.Context(), "default", login); !errors.Is(err, tenant.ErrNoRole) {
			t.Errorf("%q: %v", login, err)
		}
	}
	if _, err := r.Login(t.Context(), "other", a.Login); !errors.Is(err, tenant.ErrNoRole) {
		t.Errorf("another shard: %v", err)
	}
	run(t, dsn, "UPDATE tenancy.logins SET password = 'changed'")
	eventually(t, "the new password is known", func() bool {
		got, err := r.Login(t.Context(), "default", a.Login)
		return err == nil && got == "changed"
	})
}

func TestRolesAreMadeInBatches(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	r, other := openRoles(t, dsn), openRoles(t, dsn)
	var wg sync.WaitGroup
	for i := range 30 {
		for n, r := range []*Registry{r, other} {
			wg.Go(func() { create(t, r, tenant.ID(fmt.Sprintf("t%d-%d", n, i))) })
		}
	}
	wg.Wait()
	if n := query[int](t, dsn, "SELECT count(DISTINCT role)::int FROM tenancy.tenants WHERE role <> ''"); n != 60 {
		t.Errorf("%d roles of 60 tenants", n)
	}
	eventually(t, "some are free", func() bool {
		return query[int](t, dsn, "SELECT count(*)::int FROM tenancy.roles WHERE state = 'free'") >= rolesAhead
	})
	made, there := query[int](t, dsn, "SELECT count(*)::int FROM tenancy.roles"),
		query[int](t, dsn, "SELECT count(*)::int FROM pg_roles WHERE rolname IN (SELECT name FROM tenancy.roles)")
	if made%roleBatch != 0 || made > 60+rolesAhead+roleBatch || there != made {
		t.Errorf("%d roles, %d of them there", made, there)
	}
	if n := query[int](t, dsn, "SELECT count(*)::int FROM tenancy.roles WHERE state = 'used'"); n != 60 {
		t.Errorf("%d roles are used", n)
	}
}

// A login that has its fill gets no more, and a batch that a crash left half done is
// finished.
func TestRolesGoOn(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	r := openRoles(t, dsn)
	a := create(t, r, "a")
	eventually(t, "the batch is made", func() bool {
		return query[int](t, dsn, "SELECT count(*)::int FROM tenancy.roles WHERE state = 'free'") >= roleBatch-1
	})
	run(t, dsn, `UPDATE tenancy.roles SET state = 'making' WHERE state = 'free' AND name = (SELECT min(name) FROM tenancy.roles WHERE state = 'free');
		INSERT INTO tenancy.roles (name, shard, login) SELECT 'gt_test_' || gen_random_uuid(), shard, login FROM tenancy.roles LIMIT 1;
		UPDATE tenancy.roles SET state = 'spoiled' WHERE state = 'free'`)
	b := create(t, r, "b")
	if b.Login != a.Login {
		t.Error("another login was made")
	}
	// The next batch is made in the background.
	eventually(t, "none is unmade", func() bool {
		return query[int](t, dsn, "SELECT count(*)::int FROM tenancy.roles WHERE state = 'making'") == 0
	})
	run(t, dsn, fmt.Sprintf(`INSERT INTO tenancy.roles (name, shard, login, state) SELECT 'gt_x' || n, 'default', '%s', 'spoiled' FROM generate_series(1, %d) n;
		UPDATE tenancy.roles SET state = 'spoiled' WHERE state = 'free'`, a.Login, bucketSize))
	if c := create(t, r, "c"); c.Login == a.Login {
		t.Error("the login has more than its fill")
	}
}

func TestEnsureRoles(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	plain := open(t, Config{DSN: dsn, HomeShard: "default"})
	create(t, plain, "a")
	run(t, dsn, `CREATE TABLE tenant_a.things (id serial, owner text) PARTITION BY LIST (owner);
		CREATE TABLE tenant_a."part ""a" PARTITION OF tenant_a.things FOR VALUES IN ('a');
		CREATE TABLE tenant_a.numbered (id int GENERATED ALWAYS AS IDENTITY, "odd ""name" serial);
		CREATE VIEW tenant_a.seen AS SELECT * FROM tenant_a.things; CREATE MATERIALIZED VIEW tenant_a.kept AS SELECT 1;
		CREATE SCHEMA adopted; CREATE TABLE adopted.things (a int)`)
	create(t, plain, "b")
	if _, err := plain.Adopt(t.Context(), tenant.Spec{ID: "late", Schema: "adopted"}); err != nil {
		t.Fatal(err)
	}
	r := openRoles(t, dsn)
	if n, err := r.EnsureRoles(t.Context()); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if n, err := r.EnsureRoles(t.Context()); n != 0 || err != nil {
		t.Fatalf("again: %d, %v", n, err)
	}
	a := must(r.Get(t.Context(), "a"))(t)
	conn := under(t, r, a)
	works := func(when string) {
		t.Helper()
		for _, sql := range []string{
			"INSERT INTO tenant_a.things (owner) VALUES ('a')", `INSERT INTO tenant_a."part ""a" (owner) VALUES ('a')`,
			"SELECT * FROM tenant_a.seen", "INSERT INTO tenant_a.numbered DEFAULT VALUES", "SELECT * FROM tenant_a.kept", "SELECT currval('tenant_a.things_id_seq')",
		} {
			if err := may(t, conn, a.Role, sql); err != nil && sqlState(err) != "55000" {
				t.Errorf("%s: %s: %v", when, sql, err)
			}
		}
	}
	works("given")
	run(t, dsn, "DROP OWNED BY "+a.Role)
	if err := may(t, conn, a.Role, "SELECT * FROM tenant_a.things"); sqlState(err) != insufficient {
		t.Errorf("%v", err)
	}
	must(r.EnsureRole(t.Context(), "a"))(t)
	works("mended")
	run(t, dsn, fmt.Sprintf("DROP OWNED BY %s; DROP ROLE %[1]s", a.Role))
	must(r.EnsureRole(t.Context(), "a"))(t)
	works("made anew")
	if late := must(r.Get(t.Context(), "late"))(t); may(t, conn, late.Role, "SELECT * FROM adopted.things") != nil || late.Login != a.Login {
		t.Errorf("%+v", late)
	}
	for _, id := range []tenant.ID{"nosuch", "Bad ID"} {
		if _, err := r.EnsureRole(t.Context(), id); !errors.Is(err, tenant.ErrUnknown) && !errors.Is(err, tenant.ErrInvalidID) {
			t.Errorf("%s: %v", id, err)
		}
	}
	run(t, dsn, "CREATE SCHEMA newer; CREATE TABLE newer.things (a int)")
	newer := must(r.Adopt(t.Context(), tenant.Spec{ID: "newer", Schema: "newer"}))(t)
	if err := may(t, conn, newer.Role, "SELECT * FROM newer.things"); err != nil {
		t.Error(err)
	}
}

// A role is used again once its tenant is gone for long, if it holds nothing.
func TestRolesAreReused(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	r := openRoles(t, dsn)
	state := func(role string) string {
		return query[string](t, dsn, "SELECT state FROM tenancy.roles WHERE name = $1", role)
	}
	clean, dirty, young := create(t, r, "clean"), create(t, r, "dirty"), create(t, r, "young")
	run(t, dsn, "GRANT SELECT ON tenant_clean.things TO "+dirty.Role) // goes with that schema
	run(t, dsn, "CREATE TABLE stray (a int); GRANT SELECT ON stray TO "+dirty.Role)
	for _, tn := range []tenant.Tenant{clean, dirty, young} {
		if state(tn.Role) != "used" {
			t.Error(state(tn.Role))
		}
		if err := r.Delete(t.Context(), tn.ID); err != nil {
			t.Fatal(err)
		}
		if state(tn.Role) != "released" {
			t.Error(state(tn.Role))
		}
	}
	run(t, dsn, fmt.Sprintf("UPDATE tenancy.roles SET released_at = now() - interval '1 day' WHERE name IN ('%s', '%s')", clean.Role, dirty.Role))
	if err := r.reuseRoles(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	if state(clean.Role) != "free" || state(dirty.Role) != "spoiled" || state(young.Role) != "released" {
		t.Errorf("%s, %s, %s", state(clean.Role), state(dirty.Role), state(young.Role))
	}
}

// A free role that holds something after all is put aside, whatever wants one.
func TestSpoiledRoles(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]string{
		"a grant": "CREATE TABLE stray (a int); GRANT SELECT ON stray TO %s", "a setting": "ALTER ROLE %s SET work_mem = '1MB'",
		"a membership": "GRANT pg_monitor TO %s", "a table": "CREATE TABLE stray (a int); ALTER TABLE stray OWNER TO %s",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dsn := newDatabase(t)
			r := openRoles(t, dsn, func(c *Config) { c.Roles = false })
			must(0, r.makeRoles(t.Context(), "default", 1))(t)
			r.roles.Store(true) // the maintainer has not heard of it
			run(t, dsn, "UPDATE tenancy.roles SET state = 'spoiled'")
			roles := query[[]string](t, dsn, "SELECT array_agg(name) FROM tenancy.roles")
			run(t, dsn, fmt.Sprintf("UPDATE tenancy.roles SET state = 'free' WHERE name = '%s';"+spoil, roles[0], roles[0]))
			a := create(t, r, "a")
			if a.Role == roles[0] {
				t.Errorf("it was given to %s", a.ID)
			}
			if got := query[string](t, dsn, "SELECT state FROM tenancy.roles WHERE name = $1", roles[0]); got != "spoiled" {
				t.Error(got)
			}
		})
	}
}

// Spares have roles, those of before are not taken, and a crashed creation gets one.
func TestRolesOfSparesAndCrashes(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	nothing := func(context.Context, tenant.Tenant) error { return nil }
	old := open(t, Config{DSN: dsn, HomeShard: "default", SpareTenants: 1, Provision: nothing, Recipe: Recipe{Name: "things"}})
	spares := func(with bool) int {
		return query[int](t, dsn, "SELECT count(*)::int FROM tenancy.tenants WHERE state = 'spare' AND (role <> '') = $1", with)
	}
	eventually(t, "an old spare", func() bool { return spares(false) == 1 })
	const crashed = "tenant_crashed" // no spare's: the maintainer would take that away
	must(old.Create(t.Context(), tenant.Spec{ID: "crashed", Schema: crashed}))(t)
	old.Close()
	r := openRoles(t, dsn, func(c *Config) { c.SpareTenants, c.Provision = 2, nothing })
	eventually(t, "new spares", func() bool { return spares(true) == 2 })
	if a := create(t, r, "a"); a.Role == "" || !strings.HasPrefix(a.Schema, "tenant_spare-") {
		t.Errorf("%+v", a)
	}
	run(t, dsn, fmt.Sprintf("UPDATE tenancy.tenants SET state = 'provisioning', updated_at = now() - interval '1 day' WHERE id = 'crashed'; CREATE TABLE %q.things (a int)", crashed))
	c := must(r.Create(t.Context(), tenant.Spec{ID: "crashed", Schema: crashed}))(t)
	if c.Role == "" {
		t.Error("it has no role")
	} else if err := may(t, under(t, r, c), c.Role, fmt.Sprintf("SELECT * FROM %q.things", crashed)); err != nil {
		t.Error(err)
	}
}
