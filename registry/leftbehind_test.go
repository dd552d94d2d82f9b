package registry

import (
	"testing"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// A new tenant's script does not meet the temporary tables that another's has left.
func TestScriptsMeetNothingOfEachOther(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		dsn := s.Database(t)
		r := open(t, Config{DSN: dsn, HomeShard: "main"})
		r.SetRecipe(Recipe{Name: "x"})
		r.SetScript("x", InScope(`CREATE TABLE item AS SELECT current_schema()::text AS owner;
			DO $$ BEGIN CREATE TEMP TABLE IF NOT EXISTS scrap AS SELECT * FROM item; END $$;
			CREATE TABLE copied AS SELECT * FROM scrap`, nil))
		for _, id := range []tenant.ID{"a", "b", "c"} {
			must(r.Create(t.Context(), tenant.Spec{ID: id}))(t)
			if got := query[string](t, dsn, "SELECT string_agg(owner, ',') FROM tenant_"+string(id)+".copied"); got != "tenant_"+string(id) {
				t.Errorf("%s got the rows of %s", id, got)
			}
		}
	})
}
