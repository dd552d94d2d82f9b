package registry

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/internal/pgtool"
)

// password is in every DSN of the tests, and in no error and no log line.
const password = "s3cr3t-p4ssw0rd"

// newDatabase returns the DSN of an empty database of the test's own.
func newDatabase(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(pgtest.Any(t).Database(t))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), password)
	return u.String()
}

// address returns where the server of dsn listens.
func address(t testing.TB, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// elsewhere returns the DSN of a database that nobody connects to.
func elsewhere(db string) string {
	return "postgres://postgres:" + password + "@127.0.0.1:1/" + db + "?sslmode=disable"
}

// programsFor returns a directory with a pg_dump for a server's version, empty if it is on
// PATH, and whether there is one.
func programsFor(t *testing.T, version string) (dir string, ok bool) {
	t.Helper()
	major, err := strconv.Atoi(version)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range append(filepath.SplitList(os.Getenv("GORMTENANCY_PG_BIN")), "") {
		if _, err := pgtool.Find(t.Context(), dir, "pg_dump", major); err == nil {
			return dir, true
		}
	}
	return "", false
}
