package migrations_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	first = `-- +goose Up
CREATE TABLE item (id int PRIMARY KEY, name text); -- a comment; with a semicolon
-- +goose StatementBegin
CREATE FUNCTION one() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$
-- +goose StatementEnd
INSERT INTO item VALUES (1, 'a;b')
-- the last statement ends in a comment
;
-- +goose Down
DROP FUNCTION one();
DROP TABLE item;`
	second = "-- +goose Up\nALTER TABLE item ADD COLUMN price int;\nCREATE INDEX ON item (price);\n-- +goose Down\nALTER TABLE item DROP COLUMN price;"
	bare   = "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY item_name ON item (name);\n-- +goose Down\nDROP INDEX CONCURRENTLY item_name;"
)

// goSecond is a Go migration, version 3.
func goThird() *goose.Migration {
	return goose.NewGoMigration(3,
		&goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			who, _ := tenant.FromContext(ctx)
			_, err := tx.ExecContext(ctx, "INSERT INTO item VALUES (3, $1)", string(who))
			return err
		}},
		&goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error {
			_, err := db.ExecContext(ctx, "DELETE FROM item WHERE id = 3")
			return err
		}})
}

func TestUpAndDown(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		l := newLab(t, s, 2, 6)
		fsys := files(first, second, "", bare, "-- +goose Up\nINSERT INTO item VALUES (5, 'five');\n-- +goose Down\nDELETE FROM item WHERE id = 5;")
		delete(fsys, "00003_m.sql")
		set := load(t, fsys, goThird())
		if got := set.Versions(); !slices.Equal(got, []int64{1, 2, 3, 4, 5}) || set.Latest() != 5 || !slices.Equal(set.Up(3), []int64{4, 5}) {
			t.Errorf("versions %v, up from 3: %v", got, set.Up(3))
		}
		if err := l.Suspend(t.Context(), id(5)); err != nil {
			t.Fatal(err)
		}
		rep, err := l.run(set, migrations.Options{Target: 1})
		if err != nil || rep.Counts[migrations.Migrated] != 6 || rep.From[0] != 6 || rep.Shards["s1"][migrations.Migrated] != 3 {
			t.Errorf("to 1: %v, %v, %+v", rep, err, rep)
		}
		if rep, err = l.run(set, migrations.Options{}); err != nil || rep.Counts[migrations.Migrated] != 6 || rep.From[1] != 6 {
			t.Errorf("to 5: %v, %v", rep, err)
		}
		for i := range 6 {
			l.expect(i, 5)
			schema := "tenant_" + string(id(i))
			if who := query[string](t, l.dsn(i), "SELECT name FROM "+schema+".item WHERE id = 3"); who != string(id(i)) {
				t.Errorf("the Go migration wrote %s for %s", who, id(i))
			}
			if n := query[int](t, l.dsn(i), "SELECT count(*)::int FROM pg_index WHERE indrelid = $1::regclass AND indisvalid", schema+".item"); n != 3 {
				t.Errorf("%d indexes, want 3", n)
			}
		}
		if rep, err = l.run(set, migrations.Options{}); err != nil || rep.Total != 0 {
			t.Errorf("nothing to do: %v, %v", rep, err)
		}
		if rep, err = l.run(set, migrations.Options{Down: true}); err != nil || rep.Counts[migrations.Migrated] != 6 {
			t.Errorf("down: %v, %v", rep, err)
		}
		l.expect(0, 0)
		if n := query[int](t, l.dsn(0), "SELECT count(*)::int FROM pg_class WHERE relnamespace = 'tenant_t000'::regnamespace AND relkind = 'r'"); n != 1 {
			t.Errorf("%d tables are left, want goose's own", n)
		}
	})
}

// TestFailureUndoesTheTenant: of several pending versions none is in when the
// last one fails, the failing file is named, and the others are through.
func TestFailureUndoesTheTenant(t *testing.T) {
	t.Parallel()
	l := newLab(t, pgtest.Any(t), 1, 5)
	set := load(t, files(first, second, "-- +goose Up\nCREATE TABLE more (id int);\nINSERT INTO item VALUES (7, 'x');"))
	if _, err := l.run(set, migrations.Options{Target: 1}); err != nil {
		t.Fatal(err)
	}
	l.exec(2, "INSERT INTO item VALUES (7, 'in the way')")
	rep, err := l.run(set, migrations.Options{MaxFailures: -1})
	var partial *migrations.PartialError
	var pg *pgconn.PgError
	if !errors.As(err, &partial) || partial.Report != rep || !errors.As(err, &pg) || pg.Code != "23505" {
		t.Fatalf("%v", err)
	}
	if rep.Counts[migrations.Migrated] != 4 || len(rep.Failed) != 1 || !strings.Contains(rep.Failed[id(2)].Error(), "00003_m.sql") {
		t.Errorf("%v: %v", rep, rep.Failed)
	}
	l.expect(2, 1)
	l.expect(3, 3)
	if query[bool](t, l.dsn(2), "SELECT EXISTS (SELECT FROM information_schema.columns WHERE table_schema = 'tenant_t002' AND column_name = 'price')") {
		t.Error("version 2 was kept")
	}
	l.exec(2, "DELETE FROM item WHERE id = 7")
	if rep, err = l.run(set, migrations.Options{}); err != nil || rep.Total != 1 {
		t.Errorf("mended: %v, %v", rep, err)
	}
	l.expect(2, 3)
}

// TestSyntaxErrorNamesItsFile: the server parses a message as a whole.
func TestSyntaxErrorNamesItsFile(t *testing.T) {
	t.Parallel()
	l := newLab(t, pgtest.Any(t), 1, 1)
	set := load(t, files("-- +goose Up\nCREATE TABLE a (n int);", "-- +goose Up\nCREATE TABLE b (n int);", "-- +goose Up\nSELECT 'é'; CREATE TABEL c (n int);"))
	rep, err := l.run(set, migrations.Options{})
	if err == nil || !strings.Contains(rep.Failed[id(0)].Error(), "00003_m.sql") {
		t.Errorf("%v", err)
	}
	l.expect(0, 0)
}

func TestNoTransactionFails(t *testing.T) {
	t.Parallel()
	l := newLab(t, pgtest.Any(t), 1, 1)
	set := load(t, files(first, "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE kept (n int);\nCREATE TABLE item (n int);"))
	rep, err := l.run(set, migrations.Options{})
	if !errors.Is(err, migrations.ErrNotUndone) || !strings.Contains(err.Error(), "statement 2") || rep.Counts[migrations.Failed] != 1 {
		t.Errorf("%v, %v", rep, err)
	}
	l.expect(0, 1) // what was committed before is registered
	query[int](t, l.dsn(0), "SELECT count(*)::int FROM tenant_t000.kept")
}

func TestBudget(t *testing.T) {
	t.Parallel()
	l := newLab(t, pgtest.Any(t), 1, 20)
	set := load(t, files("-- +goose Up\nSELECT 1/0;"))
	for _, budget := range []int{0, 3} {
		rep, err := l.run(set, migrations.Options{MaxFailures: budget, PerShard: 2})
		if !errors.Is(err, migrations.ErrBudget) || len(rep.Failed) <= budget || len(rep.Failed) > budget+2 || rep.Counts[migrations.Unreached] != 20-len(rep.Failed) {
			t.Errorf("budget %d: %v, %v", budget, rep, err)
		}
	}
}

// TestCorrected: the tenants' tables are the truth, the registry follows.
func TestCorrected(t *testing.T) {
	t.Parallel()
	l := newLab(t, pgtest.Any(t), 1, 3)
	set := load(t, files(first, second))
	if _, err := l.run(set, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	execute(t, l.control, "UPDATE tenancy.tenants SET version = 0 WHERE id = 't000'; UPDATE tenancy.tenants SET version = 1 WHERE id = 't001'")
	rep, err := l.run(set, migrations.Options{})
	if err != nil || rep.Counts[migrations.Corrected] != 2 || rep.Total != 2 {
		t.Errorf("%v, %v", rep, err)
	}
	l.exec(2, "DELETE FROM goose_db_version WHERE version_id = 1")
	execute(t, l.control, "UPDATE tenancy.tenants SET version = 1 WHERE id = 't002'")
	set = load(t, files(first, second, "-- +goose Up\nSELECT 1;"))
	rep, err = l.run(set, migrations.Options{MaxFailures: -1})
	if !errors.Is(err, migrations.ErrGaps) || rep.Counts[migrations.Migrated] != 2 || rep.Failed[id(2)] == nil {
		t.Errorf("a version is missing: %v, %v", rep, err)
	}
}
