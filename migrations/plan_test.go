package migrations_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestPreview(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		l := newLab(t, s, 2, 7)
		one := migrations.Options{Target: 1, Only: func(t tenant.Tenant) bool { return t.ID != id(0) }}
		texts := []string{
			first,
			"-- +goose Up\nALTER TABLE item ADD COLUMN price int;\nALTER TABLE item ALTER COLUMN id TYPE bigint;\nCREATE INDEX ON item (name);\nINSERT INTO item VALUES (5);",
			"-- +goose Up\nCREATE TABLE part (id int PRIMARY KEY, item_id bigint REFERENCES item);\nDROP TABLE missing;",
			bare,
		}
		set := load(t, files(texts...))
		if _, err := l.run(set, one); err != nil {
			t.Fatal(err)
		}
		before := query[string](t, l.dsn(0), "SELECT string_agg(nspname, ' ' ORDER BY 1) FROM pg_namespace")
		p := must(migrations.Preview(t.Context(), l, set, migrations.Options{Rings: []migrations.Ring{{Name: "canary", Tenants: []tenant.ID{id(1)}}}}))(t)
		if p.Tenants() != 7 || len(p.Groups) != 4 || len(p.Versions) != 4 {
			t.Fatalf("%+v", p)
		}
		if g := p.Groups[0]; g.Ring != "canary" || g.Shard != "s1" || g.From != 1 || g.Tenants != 1 || !slices.Equal(g.Versions, []int64{2, 3, 4}) {
			t.Errorf("%+v", g)
		}
		if g := p.Groups[1]; g.Ring != "rest" || g.Shard != "s0" || g.From != 0 || !slices.Equal(g.Some, []tenant.ID{id(0)}) || len(g.Versions) != 4 {
			t.Errorf("%+v", g)
		}
		for text, want := range map[string]string{
			"ADD COLUMN price":            "item AccessExclusiveLock blocks reads and writes; ",
			"TYPE bigint":                 "item AccessExclusiveLock blocks reads and writes; item ShareLock blocks writes; rewrites item",
			"CREATE INDEX ON":             "item ShareLock blocks writes; ",
			"INSERT INTO item VALUES (5)": "item RowExclusiveLock blocks DDL; ",
			"REFERENCES item":             "item ShareRowExclusiveLock blocks writes; ",
			"DROP TABLE missing":          "failed",
			"INDEX CONCURRENTLY":          "",
			"CREATE TABLE item":           "",
		} {
			if got := told(p, text); got != want {
				t.Errorf("%s: %s, want %s", text, got, want)
			}
		}
		if after := query[string](t, l.dsn(0), "SELECT string_agg(nspname, ' ' ORDER BY 1) FROM pg_namespace"); after != before {
			t.Errorf("schemas before: %s, after: %s", before, after)
		}
		l.expect(0, 0)
		l.expect(1, 1)
		down := must(migrations.Preview(t.Context(), l, set, migrations.Options{Down: true}))(t)
		if down.Tenants() != 6 || len(down.Versions) != 1 || told(down, "DROP TABLE item") != "item AccessExclusiveLock blocks reads and writes; " {
			t.Errorf("down: %+v", down)
		}
	})
}

// told tells what a plan says of the statement with a text.
func told(p *migrations.Plan, text string) string {
	for _, v := range p.Versions {
		for _, s := range v.Statements {
			if !strings.Contains(s.Text, text) {
				continue
			}
			if s.Failed != "" {
				return "failed"
			}
			var b strings.Builder
			for _, l := range s.Locks {
				b.WriteString(l.Table + " " + l.Mode + " blocks " + l.Blocks() + "; ")
			}
			if len(s.Rewrites) > 0 {
				b.WriteString("rewrites " + strings.Join(s.Rewrites, ", "))
			}
			return b.String()
		}
	}
	return "no such statement"
}
