package migrations_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/migrations"
)

func TestControlVersion(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Any(t).Database(t)
	config := must(pgx.ParseConfig(dsn))(t)
	version, latest, err := migrations.ControlVersion(t.Context(), config, "control")
	if err != nil || version != 0 || latest == 0 {
		t.Fatalf("before: %d of %d, %v", version, latest, err)
	}
	if query[bool](t, dsn, "SELECT to_regnamespace('control') IS NOT NULL") {
		t.Fatal("the question made the schema")
	}
	if err := migrations.ApplyControl(t.Context(), config, "control"); err != nil {
		t.Fatal(err)
	}
	version, now, err := migrations.ControlVersion(t.Context(), config, "control")
	if err != nil || version != latest || now != latest {
		t.Errorf("after: %d of %d, %v, want %d", version, now, err, latest)
	}
}
