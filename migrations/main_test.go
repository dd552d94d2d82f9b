package migrations_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestMain(m *testing.M) {
	if control := os.Getenv(childEnv); control != "" {
		if err := child(control); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(pgtest.Main(m, goleak.Find))
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// lab is a fleet on a server of its own databases.
type lab struct {
	*registry.Registry
	t       testing.TB
	control string
	shards  []string // DSNs
	tenants int
}

// newLab makes a registry with n tenants, t000 and on, dealt out to shards.
func newLab(t testing.TB, s *pgtest.Server, shards, n int) *lab {
	t.Helper()
	l := &lab{t: t, control: s.Database(t), tenants: n}
	l.Registry = must(registry.Open(t.Context(), registry.Config{DSN: l.control}))(t)
	t.Cleanup(l.Close)
	for i := range shards {
		dsn := s.Database(t)
		l.shards = append(l.shards, dsn)
		if err := l.AddShard(t.Context(), tenant.Shard{Name: fmt.Sprintf("s%d", i), Primary: dsn}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		l.create(i)
	}
	return l
}

func id(i int) tenant.ID { return tenant.ID(fmt.Sprintf("t%03d", i)) }

func (l *lab) create(i int) {
	l.t.Helper()
	spec := tenant.Spec{ID: id(i), Shard: fmt.Sprintf("s%d", i%len(l.shards))}
	must(l.Create(l.t.Context(), spec))(l.t)
}

// dsn returns the database of tenant i.
func (l *lab) dsn(i int) string { return l.shards[i%len(l.shards)] }

// exec runs statements in tenant i's schema.
func (l *lab) exec(i int, sql string) {
	l.t.Helper()
	execute(l.t, l.dsn(i), "SET search_path = tenant_"+string(id(i))+"; "+sql)
}

// version returns what tenant i's own table and the registry say.
func (l *lab) version(i int) (table, registered int64) {
	l.t.Helper()
	schema := "tenant_" + string(id(i))
	if query[bool](l.t, l.dsn(i), "SELECT to_regclass($1) IS NOT NULL", schema+".goose_db_version") {
		table = query[int64](l.t, l.dsn(i), "SELECT max(version_id) FROM "+schema+".goose_db_version")
	}
	return table, must(l.Get(l.t.Context(), id(i)))(l.t).Version
}

// expect fails the test unless tenant i is at a version, and known to be.
func (l *lab) expect(i int, want int64) {
	l.t.Helper()
	if table, registered := l.version(i); table != want || registered != want {
		l.t.Errorf("tenant %d: table says %d, registry %d, want %d", i, table, registered, want)
	}
}

func (l *lab) run(set *migrations.Set, o migrations.Options) (*migrations.Report, error) {
	l.t.Helper()
	if o.Backoff == 0 {
		o.Backoff = 20 * time.Millisecond
	}
	rep, err := migrations.Run(l.t.Context(), l, set, o)
	if rep == nil {
		l.t.Fatal(err)
	}
	sum := 0
	for _, n := range rep.Counts {
		sum += n
	}
	if sum != rep.Total {
		l.t.Errorf("%d outcomes of %d tenants: %v", sum, rep.Total, rep)
	}
	return rep, err
}

// files makes goose files of the given texts, versions 1 and on.
func files(texts ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i, text := range texts {
		fsys[fmt.Sprintf("%05d_m.sql", i+1)] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

// named makes goose files of the given names and texts.
func named(texts map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range texts {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func load(t testing.TB, fsys fstest.MapFS, goMigrations ...*goose.Migration) *migrations.Set {
	t.Helper()
	return must(migrations.Load(fsys, goMigrations...))(t)
}

func query[T any](t testing.TB, dsn, sql string, args ...any) T {
	t.Helper()
	ctx := context.Background()
	conn := must(pgx.Connect(ctx, dsn))(t)
	defer conn.Close(ctx)
	var v T
	if err := conn.QueryRow(ctx, sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func execute(t testing.TB, dsn, sql string) {
	t.Helper()
	ctx := context.Background()
	conn := must(pgx.Connect(ctx, dsn))(t)
	defer conn.Close(ctx)
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
