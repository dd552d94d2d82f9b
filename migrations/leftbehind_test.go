package migrations_test

import (
	"testing"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/migrations"
)

// What a tenant's file leaves on the session, in a way that its text does not show, is
// not met by the next tenant on the connection.
func TestTenantsMeetNothingOfEachOther(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		l := newLab(t, s, 1, 3)
		for i := range 3 {
			l.exec(i, "CREATE TABLE item AS SELECT '"+string(id(i))+"'::text AS owner")
		}
		execute(t, l.dsn(0), "CREATE FUNCTION public.scratch() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE IF NOT EXISTS scratch AS SELECT * FROM item; END $$")
		set := load(t, files(`-- +goose Up
-- +goose StatementBegin
DO $$ BEGIN CREATE TEMP TABLE IF NOT EXISTS scrap AS SELECT * FROM item; END $$;
-- +goose StatementEnd
CREATE TABLE copied AS SELECT * FROM scrap;
SELECT public.scratch();
INSERT INTO copied SELECT * FROM scratch;`))
		if rep, err := l.run(set, migrations.Options{PerShard: 1}); err != nil || rep.Counts[migrations.Migrated] != 3 {
			t.Fatalf("%v, %v", rep, err)
		}
		for i := range 3 {
			foreign := query[int64](t, l.dsn(i), "SELECT count(*) FROM tenant_"+string(id(i))+".copied WHERE owner <> $1", string(id(i)))
			if foreign != 0 {
				t.Errorf("tenant %d got %d rows of another's", i, foreign)
			}
		}
	})
}
