package migrations_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gormtenancy/gormtenancy/migrations"
)

func TestLoad(t *testing.T) {
	t.Parallel()
	s, err := migrations.Load(named(map[string]string{
		"00002_b.sql": "-- +goose Up\nALTER TABLE a ADD COLUMN m int -- why\n;\n-- +goose Down\nDROP TABLE a;",
		"00001_a.sql": "-- +goose Up\nCREATE TABLE a (n int); INSERT INTO a VALUES (1);\n" +
			"-- +goose StatementBegin\nDO $$ BEGIN PERFORM 1; PERFORM '$1'; END $$;\n-- +goose StatementEnd\n-- +goose Down\nDROP TABLE a;",
	}))
	if err != nil {
		t.Fatal(err)
	}
	script, ok := s.Script()
	if !ok || s.Latest() != 2 {
		t.Fatalf("version %d, script %t", s.Latest(), ok)
	}
	at := 0
	for _, part := range []string{"CREATE TABLE IF NOT EXISTS goose_db_version", "SELECT 0, true", "VALUES (1, true)", "CREATE TABLE a", "INSERT INTO a", "PERFORM '$1'", "VALUES (2, true)", "ADD COLUMN m int -- why\n"} {
		i := strings.Index(script[at:], part)
		if i < 0 {
			t.Fatalf("%s is not where it should be in\n%s", part, script)
		}
		at += i
	}
	if strings.Contains(script, "DROP") {
		t.Errorf("it goes down: %s", script)
	}
}

func TestLoadWithoutTransaction(t *testing.T) {
	t.Parallel()
	s, err := migrations.Load(named(map[string]string{
		"1_a.sql": "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY i ON a (n);",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if script, ok := s.Script(); ok {
		t.Errorf("one transaction: %s", script)
	}
}

func TestChecksums(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, text := range []string{"SELECT 1;", "SELECT 2;", "SELECT 1; SELECT 2;"} {
		s, err := migrations.Load(named(map[string]string{"1_a.sql": "-- +goose Up\n" + text}))
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[s.Checksum()]; ok {
			t.Errorf("%q and %q: %s", text, other, s.Checksum())
		}
		seen[s.Checksum()] = text
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	if _, err := migrations.Load(fstest.MapFS{}); !errors.Is(err, migrations.ErrNoMigrations) {
		t.Errorf("no files: %v", err)
	}
	for name, text := range map[string]string{
		"1_a.sql": "CREATE TABLE a (n int);", "2_b.sql": "-- +goose Up\nCREATE TABLE b (n int)",
		"3_c.sql": "-- +goose Up\n-- +goose StatementBegin\nSELECT 1;",
	} {
		if _, err := migrations.Load(named(map[string]string{name: text})); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
