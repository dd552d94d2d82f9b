package tenantplugin

import (
	"database/sql"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
)

// migrating is the dialector with our migrator, without the rest of the plugin.
type migrating struct{ *postgres.Dialector }

func (d *migrating) Migrator(db *gorm.DB) gorm.Migrator {
	return newMigrator(d.Dialector.Migrator(db), db, func(string) error { return nil })
}

// twoSchemas returns the server's connection and GORM on schema b of it. What
// is in schema a must stay as it is.
func twoSchemas(t *testing.T, s *pgtest.Server, path, prepare string) (*sql.DB, *gorm.DB) {
	t.Helper()
	config, err := pgx.ParseConfig(Database(t, s))
	if err != nil {
		t.Fatal(err)
	}
	admin := stdlib.OpenDB(*config)
	t.Cleanup(func() { admin.Close() })
	for _, text := range []string{"create schema a", "create schema b", "set search_path = a", prepare, "set search_path = b", prepare, "reset search_path"} {
		if _, err := admin.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	scoped := config.Copy()
	scoped.RuntimeParams["search_path"] = path
	pool := stdlib.OpenDB(*scoped)
	t.Cleanup(func() { pool.Close() })
	d := postgres.New(postgres.Config{Conn: pool}).(*postgres.Dialector)
	db, err := gorm.Open(&migrating{d}, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	return admin, db
}

func value[T any](t *testing.T, db *sql.DB, query string) (v T) {
	t.Helper()
	if err := db.QueryRow(query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

const (
	onlyB     = `"b", pg_temp`
	seqType   = `select data_type::text from pg_sequences where sequencename = 'things_id_seq' and schemaname = `
	seqNumber = `select count(*) from pg_sequences where sequencename = 'things_id_seq' and schemaname = `
)

type bigThing struct {
	ID   int64 `gorm:"autoIncrement;not null"`
	Name string
}

func (bigThing) TableName() string { return "things" }

type textThing struct {
	ID string `gorm:"type:text;primaryKey;not null"`
}

func (textThing) TableName() string { return "things" }

// Whichever of two tables the original happens to find, in one direction it is
// the wrong one.
func eachDirection(t *testing.T, test func(t *testing.T, s *pgtest.Server, own, other string)) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Run("b beside a", func(t *testing.T) { test(t, s, "b", "a") })
		t.Run("a beside b", func(t *testing.T) { test(t, s, "a", "b") })
	})
}

func TestAlterColumnChangesItsOwnSequence(t *testing.T) {
	eachDirection(t, func(t *testing.T, s *pgtest.Server, own, other string) {
		admin, db := twoSchemas(t, s, own+", pg_temp", "create table things (id serial primary key, name text)")
		if err := db.Migrator().AlterColumn(&bigThing{}, "ID"); err != nil {
			t.Fatal(err)
		}
		if got := value[string](t, admin, seqType+"'"+other+"'"); got != "integer" {
			t.Errorf("the other schema's sequence became %s", got)
		}
		if got := value[string](t, admin, seqType+"'"+own+"'"); got != "bigint" {
			t.Errorf("the own sequence is %s", got)
		}
		if got := value[string](t, admin, "select data_type from information_schema.columns where table_schema = '"+own+"' and column_name = 'id'"); got != "bigint" {
			t.Errorf("the column is %s", got)
		}
	})
}

// The usual way to copy a schema leaves the defaults with the original's
// sequences.
func TestSequenceOfAnotherSchemaIsLeftAlone(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		admin, db := twoSchemas(t, s, onlyB, "create table things (id serial, name text)")
		for _, text := range []string{"drop table b.things", "create table b.things (like a.things including all)"} {
			if _, err := admin.Exec(text); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Migrator().AlterColumn(&bigThing{}, "ID"); !errors.Is(err, errForeign) {
			t.Errorf("got %v", err)
		}
		if err := db.Migrator().AlterColumn(&textThing{}, "ID"); err != nil {
			t.Error(err)
		}
		if value[int](t, admin, seqNumber+"'a'") != 1 || value[string](t, admin, seqType+"'a'") != "integer" {
			t.Error("the other schema's sequence was changed")
		}
	})
}

func TestColumnThatLosesItsSequence(t *testing.T) {
	eachDirection(t, func(t *testing.T, s *pgtest.Server, own, other string) {
		admin, db := twoSchemas(t, s, own+", pg_temp", "create table things (id serial primary key)")
		if err := db.Migrator().AlterColumn(&textThing{}, "ID"); err != nil {
			t.Fatal(err)
		}
		if value[int](t, admin, seqNumber+"'"+other+"'") != 1 || value[int](t, admin, seqNumber+"'"+own+"'") != 0 {
			t.Error("not exactly the own sequence is gone")
		}
	})
}

type moodThing struct {
	ID   int64
	Mood string `gorm:"type:mood;unique"`
}

func (moodThing) TableName() string { return "moods" }

func TestColumnOfAnEnumIsReportedOnce(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		_, db := twoSchemas(t, s, onlyB, "create type mood as enum ('x'); create table moods (id bigserial primary key, mood mood unique)")
		columns, err := db.Migrator().ColumnTypes(&moodThing{})
		if err != nil {
			t.Fatal(err)
		}
		if len(columns) != 2 {
			t.Fatalf("%d columns, not 2", len(columns))
		}
		if unique, _ := columns[1].Unique(); !unique {
			t.Error("the column's constraint was lost")
		}
		if n, ok := columns[1].Length(); !ok || n != 32 {
			t.Errorf("length %d, %v", n, ok)
		}
	})
}

func TestAutoMigrateKeepsToItsSchema(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		const prepare = "create type mood as enum ('x'); create table moods (id bigserial primary key); create table things (id serial primary key)"
		admin, db := twoSchemas(t, s, onlyB, prepare)
		const state = `select string_agg(c.table_name || '.' || c.column_name || ' ' || c.data_type || coalesce(c.column_default, ''), ',' order by 1)
			from information_schema.columns c where table_schema = 'a'`
		before := value[string](t, admin, `select x from (`+state+`) y(x)`)
		for range 2 {
			if err := db.AutoMigrate(&moodThing{}, &bigThing{}); err != nil {
				t.Fatal(err)
			}
		}
		if after := value[string](t, admin, `select x from (`+state+`) y(x)`); after != before {
			t.Errorf("schema a was\n%s, is\n%s", before, after)
		}
		if !db.Migrator().HasColumn(&bigThing{}, "Name") {
			t.Error("the own table was not migrated")
		}
	})
}

// With a shared schema in the path, what the tenant lacks is found there.
func TestSharedTablesAreNotChangedByATenant(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		admin, db := twoSchemas(t, s, `"b", "a", pg_temp`, "create table things (id serial primary key, name text); create index by_name on things (name)")
		if _, err := admin.Exec("drop table b.things"); err != nil {
			t.Fatal(err)
		}
		m := db.Migrator()
		for what, err := range map[string]error{
			"DropIndex":      m.DropIndex(&bigThing{}, "by_name"),
			"RenameIndex":    m.RenameIndex(&bigThing{}, "by_name", "x"),
			"RenameTable":    m.RenameTable("things", "x"),
			"AddColumn":      m.AddColumn(&bigThing{}, "Name"),
			"CreateIndex":    m.CreateIndex(&bigThing{}, "by_name"),
			"DropColumn":     m.DropColumn(&bigThing{}, "Name"),
			"RenameColumn":   m.RenameColumn(&bigThing{}, "name", "x"),
			"AlterColumn":    m.AlterColumn(&bigThing{}, "ID"),
			"DropConstraint": m.DropConstraint(&bigThing{}, "things_pkey"),
		} {
			if !errors.Is(err, errForeign) {
				t.Errorf("%s: got %v", what, err)
			}
		}
		if err := m.DropTable(&bigThing{}); err != nil {
			t.Error(err)
		}
		if got := value[int](t, admin, "select count(*) from pg_indexes where schemaname = 'a' and indexname = 'by_name'"); got != 1 {
			t.Error("the shared table is gone or changed")
		}
	})
}
