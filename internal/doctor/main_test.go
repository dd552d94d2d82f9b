package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, goleak.Find)) }

const (
	one = `-- +goose Up
CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
`
	two = `-- +goose Up
CREATE VIEW names AS SELECT name FROM item;
ALTER TABLE item ADD COLUMN price numeric(10,2) DEFAULT 0;
`
	three = `-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY item_name ON item (name);
`
)

func load(t testing.TB, texts ...string) *migrations.Set {
	t.Helper()
	fsys := fstest.MapFS{}
	for i, text := range texts {
		fsys[fmt.Sprintf("%05d_m.sql", i+1)] = &fstest.MapFile{Data: []byte(text)}
	}
	set, err := migrations.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// lab is a fleet on two shards, t0 and on, dealt out to them.
type lab struct {
	*registry.Registry
	t       testing.TB
	control string
	shards  []string // DSNs
}

func newLab(t testing.TB, s *pgtest.Server, n int, set *migrations.Set) *lab {
	t.Helper()
	l := &lab{t: t, control: s.Database(t)}
	var err error
	if l.Registry, err = registry.Open(t.Context(), registry.Config{DSN: l.control, ProvisionTimeout: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	for i := range 2 {
		l.shards = append(l.shards, s.Database(t))
		if err := l.AddShard(t.Context(), tenant.Shard{Name: fmt.Sprint("s", i), Primary: l.shards[i]}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if _, err := l.Create(t.Context(), tenant.Spec{ID: id(i), Shard: fmt.Sprint("s", i%2)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := migrations.Run(t.Context(), l, set, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	return l
}

func id(i int) tenant.ID { return tenant.ID(fmt.Sprint("t", i)) }

func execute(t testing.TB, dsn, sql string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// on runs statements in tenant i's schema.
func (l *lab) on(i int, sql string) {
	l.t.Helper()
	execute(l.t, l.shards[i%2], fmt.Sprintf("SET search_path = tenant_%s; %s", id(i), sql))
}

// examine fails the test unless the findings are those, as "kind tenant shard/schema".
func (l *lab) examine(o Options, want ...string) *Report {
	l.t.Helper()
	r, err := Examine(l.t.Context(), l.Registry, o)
	var partial *PartialError
	if r == nil || err != nil && !errors.As(err, &partial) {
		l.t.Fatal(err)
	}
	l.found(r, want...)
	return r
}

func (l *lab) found(r *Report, want ...string) {
	l.t.Helper()
	var got []string
	for _, f := range r.Findings {
		got = append(got, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s/%s", f.Kind, f.Tenant, f.Shard, f.Schema)), " "))
		if f.Detail == "" || f.Remedy == "" {
			l.t.Errorf("finding without words: %+v", f)
		}
	}
	if want = slices.Sorted(slices.Values(want)); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		l.t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// schemas counts those of the first shard.
func (l *lab) schemas() (n int) {
	l.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, l.shards[0])
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, "SELECT count(*)::int FROM pg_namespace").Scan(&n); err != nil {
		l.t.Fatal(err)
	}
	return n
}

// contextWhen returns a context that ends when something is so.
func contextWhen(t testing.TB, is func() bool) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for !is() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
		cancel()
	}()
	return ctx, cancel
}
