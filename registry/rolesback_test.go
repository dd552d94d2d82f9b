package registry

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// What is restored, also on another shard, and what is copied has a role that may do
// there what the first one could, and nobody else may.
func TestRolesComeBack(t *testing.T) {
	t.Parallel()
	s := pgtest.Any(t)
	dsn, far := s.Database(t), s.Database(t)
	r := openRoles(t, dsn, func(c *Config) { c.Programs = programs(t) })
	addShards(t, r, map[string]string{"far": far})
	dropped := func(dsn string) { // before the roles are
		t.Cleanup(func() { run(t, dsn, "DROP SCHEMA IF EXISTS tenant_a, tenant_b CASCADE") })
	}
	dropped(far)
	b := must(r.Create(t.Context(), tenant.Spec{ID: "b", Shard: "default"}))(t)
	a := must(r.Create(t.Context(), tenant.Spec{ID: "a", Shard: "default"}))(t)
	run(t, dsn, "CREATE TABLE tenant_a.later (id serial, n int); INSERT INTO tenant_a.later (n) VALUES (1)")

	check := func(what string, got tenant.Tenant, dsn string, other tenant.Tenant) {
		t.Helper()
		if got.Role == "" || got.Login == "" {
			t.Fatalf("%s: %+v", what, got)
		}
		run(t, dsn, "CREATE TABLE "+got.Schema+".newer (id serial)")
		conf := must(pgx.ParseConfig(dsn))(t)
		password := must(r.Login(t.Context(), got.Placement.Shard, got.Login))(t)
		conf.User, conf.Password = got.Login, password.Reveal()
		conn := must(pgx.ConnectConfig(t.Context(), conf))(t)
		defer conn.Close(context.Background())
		for _, sql := range []string{
			"INSERT INTO " + got.Schema + ".things (owner) VALUES ('a')", "SELECT FROM " + got.Schema + ".later",
			"INSERT INTO " + got.Schema + ".newer DEFAULT VALUES",
		} {
			if err := may(t, conn, got.Role, sql); err != nil {
				t.Errorf("%s: %s: %v", what, sql, err)
			}
			if other.Login != got.Login {
				continue
			}
			if err := may(t, conn, other.Role, sql); sqlState(err) != insufficient {
				t.Errorf("%s: %s as another tenant: %v", what, sql, err)
			}
		}
		run(t, dsn, "DROP TABLE "+got.Schema+".newer")
	}
	again := func(shard string) tenant.Tenant {
		t.Helper()
		dir := t.TempDir()
		kept := must(r.Archive(t.Context(), "a", ArchiveOptions{Dir: dir}))(t)
		return must(r.Restore(t.Context(), "a", filepath.Join(dir, kept.File), RestoreOptions{Shard: shard}))(t)
	}
	here := again("")
	if here.Role != a.Role {
		t.Errorf("restored where it was under role %q, not %q", here.Role, a.Role)
	}
	check("restored", here, dsn, b)
	there := again("far")
	if there.Role == a.Role || there.Placement.Shard != "far" {
		t.Errorf("restored elsewhere: %+v", there)
	}
	check("restored elsewhere", there, far, b)
	copied := must(r.Copy(t.Context(), "a", tenant.Spec{ID: "c", Shard: "default"}))(t)
	check("copied", copied, dsn, b)
}
