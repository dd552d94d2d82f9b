package pgtest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
)

// Server is a running PostgreSQL.
type Server struct {
	Version string // major version
	dsn     string
}

var (
	once    sync.Once
	servers []*Server
	missing []string
	stops   []func()
	failed  error
	number  atomic.Int64
)

// Main runs the tests of a package, stops the servers that they used, and
// then looks for goroutines that were left over.
func Main(m *testing.M, find func(...goleak.Option) error) int {
	code := m.Run()
	for _, stop := range stops {
		stop()
	}
	if code == 0 {
		// GORM never stops the goroutine of a prepared statement store, and
		// dbresolver makes stores whether they are used or not.
		if err := find(goleak.IgnoreTopFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// Each runs test on every version, as subtests.
func Each(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Helper()
	start(t)
	for _, s := range servers {
		t.Run("pg"+s.Version, func(t *testing.T) { test(t, s) })
	}
	for _, why := range missing {
		t.Run("missing", func(t *testing.T) { t.Skip(why) })
	}
}

// Any returns one server, the oldest version.
func Any(t testing.TB) *Server {
	t.Helper()
	start(t)
	return servers[0]
}

func start(t testing.TB) {
	t.Helper()
	once.Do(func() { failed = startAll() })
	if failed != nil {
		t.Fatal(failed)
	}
}

func startAll() error {
	for _, version := range []string{"15", "18"} {
		if dsn := os.Getenv("GORMTENANCY_TEST_DSN_" + version); dsn != "" {
			servers = append(servers, &Server{version, dsn})
			continue
		}
		if err := startOne(version); err != nil {
			return err
		}
	}
	if len(servers) == 0 {
		return fmt.Errorf("no PostgreSQL to test with: %s", strings.Join(missing, "; "))
	}
	return nil
}

func startOne(version string) error {
	ctx := context.Background()
	bin, err := pgcluster.Find(ctx, pgcluster.FindOptions{Version: version})
	if err != nil {
		missing = append(missing, fmt.Sprintf("PostgreSQL %s: %v", version, err))
		return nil
	}
	c, err := pgcluster.Start(ctx, pgcluster.Config{Binaries: bin, Shards: 1, InMemory: true})
	if err != nil {
		return fmt.Errorf("start PostgreSQL %s: %w", version, err)
	}
	stops = append(stops, func() {
		if err := c.Stop(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	})
	servers = append(servers, &Server{version, c.Shards()[0].Primary.DSN})
	return nil
}

// Database makes an empty database for one test and returns its DSN. It is
// dropped when the test ends.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	db, err := sql.Open("pgx", s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), number.Add(1))
	if _, err := db.Exec("create database " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		db, err := sql.Open("pgx", s.dsn)
		if err != nil {
			return
		}
		defer db.Close()
		if _, err := db.Exec("drop database " + name + " with (force)"); err != nil {
			t.Log(err)
		}
	})
	u, err := url.Parse(s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}
