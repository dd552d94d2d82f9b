package sqltext

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
)

func TestMain(m *testing.M) {
	os.Exit(pgtest.Main(m, goleak.Find))
}

func open(t *testing.T, s *pgtest.Server) *sql.DB {
	t.Helper()
	config, err := pgx.ParseConfig(s.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // for texts of many statements
	db := stdlib.OpenDB(*config)
	t.Cleanup(func() { db.Close() })
	return db
}

// Every function of the list must exist on the oldest version that is
// supported, and have no volatile overload on any.
func TestFunctionsExistAndAreNotVolatile(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		db := open(t, s)
		const volatility = `select coalesce(string_agg(distinct provolatile::text, '' order by provolatile::text), '')
			from pg_proc where proname = $1 and pronamespace = 'pg_catalog'::regnamespace`
		for _, name := range strings.Fields(wellKnown) {
			var got string
			if err := db.QueryRow(volatility, name).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if got == "" || strings.Contains(got, "v") {
				t.Errorf("%s: volatility %q", name, got)
			}
		}
	})
}

// Keywords that are taken for syntax must be ones that cannot name a function,
// or name built-in functions without effects.
func TestSyntaxCannotBeCalled(t *testing.T) {
	t.Parallel()
	builtIn := map[string]bool{"like": true, "ilike": true, "left": true, "right": true, "overlaps": true, "join": true}
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		db := open(t, s)
		for _, sp := range spellings {
			if !sp.word.syntactic() {
				continue
			}
			for _, name := range strings.Fields(sp.names) {
				var code string
				err := db.QueryRow("select catcode from pg_get_keywords() where word = $1", name).Scan(&code)
				if err != nil || code != "R" && code != "C" && !builtIn[name] {
					t.Errorf("%s: category %q, %v", name, code, err)
				}
			}
		}
	})
}

const testTable = `create sequence s; create function my_function(int) returns int language sql as 'select 1';
	create table t (id int primary key, a int, b text, d timestamptz, j jsonb, arr int[], "update" int)`

// What is called read only runs in a read-only transaction, so the texts above
// are PostgreSQL's and not only ours.
func TestReadOnlyTextsRunReadOnly(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		db := open(t, s)
		if _, err := db.Exec(testTable); err != nil {
			t.Fatal(err)
		}
		for _, text := range readOnly {
			if err := runReadOnly(t.Context(), db, text); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	})
}

// What PostgreSQL refuses to run in a read-only transaction is never called
// read only, in whatever comments and parentheses it is wrapped.
func TestRefusedTextsAreNotReadOnly(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		db := open(t, s)
		if _, err := db.Exec(testTable); err != nil {
			t.Fatal(err)
		}
		refused := 0
		for _, text := range append(readOnly, notReadOnly...) {
			for _, wrap := range []string{"#", "/* x /* y */ */ # ", "WITH w(a, b) AS (SELECT 1, 2) SELECT * FROM w, LATERAL (#) v", "(#)", "SELECT 1; #"} {
				full := strings.Replace(wrap, "#", text, 1)
				var pg *pgconn.PgError
				if errors.As(runReadOnly(t.Context(), db, full), &pg) && pg.Code == "25006" {
					if refused++; Classify(full).ReadOnly() {
						t.Errorf("%s: %v", full, pg)
					}
				}
			}
		}
		if refused < 40 {
			t.Errorf("only %d texts were refused: the test tests nothing", refused)
		}
	})
}

func runReadOnly(ctx context.Context, db *sql.DB, text string) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, text)
	if back := tx.Rollback(); back != nil && err == nil {
		return back
	}
	return err
}
