package tenantplugin

import (
	"database/sql"
	"sync"
	"testing"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
)

// To make a database costs far more than most tests. They take turns with a
// few, which are empty again for the next one.
var (
	databasesMu sync.Mutex
	databases   = map[*pgtest.Server][]string{}
	lasting     = &lastingTB{}
)

// lastingTB makes pgtest keep a database until the package's tests have ended.
type lastingTB struct {
	testing.TB
	cleanups []func()
}

func (*lastingTB) Helper()            {}
func (*lastingTB) Log(...any)         {}
func (*lastingTB) Fatal(args ...any)  { panic(args) }
func (l *lastingTB) Cleanup(f func()) { l.cleanups = append(l.cleanups, f) }

// DropDatabases drops what Database made, on servers that outlive the tests.
func DropDatabases() {
	for _, drop := range lasting.cleanups {
		drop()
	}
}

// Database returns the DSN of an empty database that is the test's alone.
func Database(t testing.TB, s *pgtest.Server) string {
	t.Helper()
	databasesMu.Lock()
	defer databasesMu.Unlock()
	var dsn string
	if free := databases[s]; len(free) > 0 {
		dsn, databases[s] = free[len(free)-1], free[:len(free)-1]
	} else {
		dsn = s.Database(lasting)
	}
	t.Cleanup(func() {
		if err := empty(dsn); err != nil {
			t.Errorf("empty the database: %v", err)
			return
		}
		databasesMu.Lock()
		defer databasesMu.Unlock()
		databases[s] = append(databases[s], dsn)
	})
	return dsn
}

const emptySQL = `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid();
	do $$ declare name text; begin
		for name in select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' loop
			execute format('drop schema %I cascade', name);
		end loop;
	end $$;
	create schema public`

func empty(dsn string) error {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(emptySQL)
	return err
}
