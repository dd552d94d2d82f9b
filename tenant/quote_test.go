package tenant_test

import (
	"database/sql"
	"errors"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, goleak.Find)) }

// Whatever the name, PostgreSQL makes a table of exactly that name, and
// nothing else happens.
func TestQuoteIdentOnTheServer(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		db, err := sql.Open("pgx", s.Database(t))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec("create table canary ()"); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{`"`, `""`, `'`, `\`, ` `, `a" (); drop table canary; --`, `"; drop table canary; --`, `$1`, "a\nb", "a\x00b", "Ünï çödé", "select", "a.b", `U&"\0041`} {
			makes(t, db, name)
		}
		rapid.Check(t, func(t *rapid.T) {
			name := rapid.OneOf(
				rapid.StringOf(rapid.RuneFrom([]rune(`"'\;.-$ aA`+"\x00\n"))), rapid.String(),
			).Draw(t, "name")
			makes(t, db, name)
		})
		if _, err := db.Exec("select from canary"); err != nil {
			t.Errorf("the canary is dead: %v", err)
		}
	})
}

// makes creates a table called name and looks for it by that name.
func makes(t interface {
	Helper()
	Fatalf(string, ...any)
}, db *sql.DB, name string,
) {
	t.Helper()
	stored := strings.ReplaceAll(name, "\x00", "")
	for len(stored) > 63 || !utf8.ValidString(stored) { // PostgreSQL cuts at 63 bytes, between characters
		stored = stored[:len(stored)-1]
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer tx.Rollback()
	_, err = tx.Exec("create table " + tenant.QuoteIdent(name) + " ()")
	if stored == "" {
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "42601" {
			t.Fatalf("an empty name: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatalf("%q: %v", name, err)
	}
	var found string
	err = tx.QueryRow("select string_agg(relname, '|') from pg_class where relnamespace = 'public'::regnamespace and relname <> 'canary'").Scan(&found)
	if err != nil || found != stored {
		t.Fatalf("%q made %q, %v", name, found, err)
	}
}
