package registry

import (
	"errors"
	"testing"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// What a schema's own code does when a row is inserted must not happen at the source
// when the row is its copy's: such a schema is refused, or the copy's code is its own.
func TestACopyReachesNothingOfItsSource(t *testing.T) {
	t.Parallel()
	copiers(t, func(t *testing.T, s *pgtest.Server) {
		l := newCopyLab(t, s, "CREATE TABLE log (id bigint); CREATE SEQUENCE numbers; CREATE TABLE tenant (name text)")
		const trigger = `; CREATE TRIGGER w BEFORE INSERT ON x FOR EACH ROW EXECUTE FUNCTION f`
		for name, sql := range map[string]string{
			"a trigger's argument": `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
				$$BEGIN EXECUTE 'INSERT INTO ' || TG_ARGV[0] || ' VALUES (1)'; RETURN NEW; END$$` + trigger + `('tenant_source.log')`,
			"a schema in a trigger's argument": `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
				$$BEGIN EXECUTE format('INSERT INTO %I.log VALUES (1)', TG_ARGV[0]); RETURN NEW; END$$` + trigger + `('tenant_source')`,
			"a schema in a function": `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
				$$BEGIN EXECUTE format('INSERT INTO %I.%I VALUES (1)', 'tenant_source', 'log'); RETURN NEW; END$$` + trigger + `()`,
			"a path in a function": `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
				$$BEGIN PERFORM set_config('search_path', '"tenant_source", pg_temp', true); INSERT INTO log VALUES (1); RETURN NEW; END$$` + trigger + `()`,
			"a path that a function sets": `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
				$$BEGIN SET LOCAL search_path TO tenant_source; INSERT INTO log VALUES (1); RETURN NEW; END$$` + trigger + `()`,
			"a sequence by its name": `ALTER TABLE x ALTER COLUMN id SET DEFAULT nextval('tenant_source.numbers'::text)`,
			"a sequence of a parameter": `CREATE FUNCTION f(text) RETURNS bigint LANGUAGE sql AS 'SELECT nextval($1::regclass)';
				ALTER TABLE x ALTER COLUMN id SET DEFAULT f('tenant_source.numbers')`,
		} {
			run(t, l.dsn[0], "SET search_path = tenant_source; CREATE TABLE x (id bigint, y int); "+sql)
			_, err := l.Copy(t.Context(), "source", tenant.Spec{ID: "x", Shard: "s0"})
			switch {
			case errors.Is(err, ErrNotCopyable):
				l.nothing(t, "x")
			case err != nil:
				t.Errorf("%s: %v", name, err)
			default:
				run(t, l.dsn[0], "SET search_path = tenant_x; INSERT INTO x (y) VALUES (1)")
				if n := query[int](t, l.dsn[0], "SELECT (SELECT count(*) FROM tenant_source.log)::int + (SELECT is_called FROM tenant_source.numbers)::int"); n != 0 {
					t.Errorf("%s: the copy's row did something at the source", name)
				}
				if err := l.Delete(t.Context(), "x"); err != nil {
					t.Fatal(err)
				}
			}
			run(t, l.dsn[0], "SET search_path = tenant_source; DROP TABLE x; DROP FUNCTION IF EXISTS f; TRUNCATE log; ALTER SEQUENCE numbers RESTART")
		}
	})
}
