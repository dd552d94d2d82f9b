package doctor

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/internal/structure"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestAHealthyFleet(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		set := load(t, one, two, three)
		l := newLab(t, s, 5, set)
		execute(t, l.shards[1], "CREATE SCHEMA reports")
		last := Progress{}
		r := l.examine(Options{Set: set, Progress: func(p Progress) { last = p }})
		if !r.Healthy() || r.Tenants != 5 || r.Examined != 5 || r.Target != 3 || last.Done != 5 || last.Total != 5 {
			t.Errorf("%+v after %+v", r, last)
		}
		if len(r.Shards) != 2 || r.Shards[0].Tenants != 3 || r.Shards[1].Unclaimed != 2 || fmt.Sprint(r.Shards[0].Server) != s.Version {
			t.Errorf("shards %+v", r.Shards)
		}
		if len(r.References) != 1 || r.References[0].Source != FromMigrations || r.References[0].Alike != 5 || r.References[0].Note != "" {
			t.Errorf("references %+v", r.References)
		}
		majority := l.examine(Options{})
		if majority.References[0].Source != FromMajority || majority.References[0].Fingerprint != r.References[0].Fingerprint {
			t.Errorf("references %+v", majority.References)
		}
		for _, dsn := range l.shards {
			execute(t, dsn, "DO $$BEGIN ASSERT NOT EXISTS (SELECT FROM pg_namespace WHERE nspname LIKE 'gormtenancy%'); END$$")
		}
	})
}

func TestDriftIsFound(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		set := load(t, one, two, three)
		l := newLab(t, s, 6, set)
		for _, i := range []int{0, 1, 2, 3} {
			l.on(i, "DROP INDEX item_name")
		}
		l.on(4, "ALTER TABLE item ADD COLUMN mine text")
		l.on(5, "DELETE FROM goose_db_version WHERE version_id = 3; DROP INDEX item_name; CREATE TABLE more (id int)")
		lost := []string{"drift t0 s0/tenant_t0", "drift t1 s1/tenant_t1", "drift t2 s0/tenant_t2", "drift t3 s1/tenant_t3"}
		older := []string{"version_mismatch t5 s1/tenant_t5", "behind t5 s1/tenant_t5"}
		r := l.examine(Options{Set: set}, append(append(older, lost...), "drift t4 s0/tenant_t4", "drift t5 s1/tenant_t5")...)
		for _, f := range r.Findings {
			want := map[string]string{"t0": "[index item_name is missing]", "t4": "[column item.mine is extra]", "t5": "[table more is extra]"}[string(f.Tenant)]
			if got := fmt.Sprint(f.Differences); f.Kind == Drift && want != "" && got != want {
				t.Errorf("%s: %s, want %s", f.Tenant, got, want)
			}
		}
		// Most of version 3 have no index.
		l.examine(Options{}, append(older, "drift t4 s0/tenant_t4")...)
		l.examine(Options{Reference: "t4"}, append(older, lost...)...)
		if _, err := Examine(t.Context(), l.Registry, Options{Reference: "nobody"}); !errors.Is(err, errReference) {
			t.Errorf("error %v", err)
		}
		text, err := json.Marshal(r)
		if err != nil || !strings.Contains(string(text), `"what":"missing","kind":"index","name":"item_name","was":"CREATE INDEX`) {
			t.Errorf("%v in %s", err, text)
		}
	})
}

func TestMigrationsThatCannotBePlayedLeaveTheMajority(t *testing.T) {
	t.Parallel()
	l := newLab(t, pgtest.Any(t), 2, load(t, one))
	bad := load(t, "-- +goose Up\nSELECT missing();\n")
	r := l.examine(Options{Set: bad})
	if ref := r.References[0]; ref.Source != FromMajority || !strings.Contains(ref.Note, "missing()") {
		t.Errorf("%+v", ref)
	}
}

// TestVersionsWithoutGoose: what models make has a version and no table of goose's, so
// that only where files are given its want is a finding.
func TestVersionsWithoutGoose(t *testing.T) {
	t.Parallel()
	set := load(t, one)
	l := newLab(t, pgtest.Any(t), 2, set)
	l.on(1, "DROP TABLE goose_db_version")
	l.examine(Options{})
	l.examine(Options{Set: set}, "unversioned t1 s1/tenant_t1")
}

func TestPlacesAreFound(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		set := load(t, one)
		l := newLab(t, s, 12, set)
		l.on(0, "DROP SCHEMA tenant_t0 CASCADE")
		execute(t, l.control, "DELETE FROM tenancy.tenants WHERE id IN ('t1')")
		execute(t, l.control, "UPDATE tenancy.tenants SET shard = 's1' WHERE id = 't2'")
		l.on(3, "ALTER SCHEMA tenant_t3 RENAME TO elsewhere")
		execute(t, l.shards[1], "CREATE SCHEMA tenant_t4")
		l.comment(4, 1, "tenant_t4")
		l.comment(5, 1, "tenant_t7")
		execute(t, l.control, "UPDATE tenancy.tenants SET state = 'archived' WHERE id = 't6'")
		execute(t, l.control, "UPDATE tenancy.tenants SET state = 'provisioning', updated_at = now() - interval '1 h' WHERE id = 't8'")
		execute(t, l.control, "UPDATE tenancy.tenants SET state = 'provisioning' WHERE id = 't9'")
		execute(t, l.control, "UPDATE tenancy.tenants SET state = 'moving' WHERE id = 't10'")
		execute(t, l.shards[1], "CREATE SCHEMA tenant_t10; CREATE SCHEMA plain; COMMENT ON SCHEMA plain IS 'gormtenancy tenant'")
		l.comment(10, 1, "tenant_t10")
		execute(t, l.shards[0], "COMMENT ON SCHEMA public IS NULL; CREATE SCHEMA gormtenancy_plan_old; COMMENT ON SCHEMA gormtenancy_plan_old IS 'gormtenancy scratch "+
			time.Now().Add(-2*time.Hour).UTC().Format(time.RFC3339)+"'; CREATE SCHEMA gormtenancy_plan_new; COMMENT ON SCHEMA gormtenancy_plan_new IS 'gormtenancy scratch "+
			time.Now().UTC().Format(time.RFC3339)+"'; CREATE SCHEMA gormtenancy_plan_whose")
		r := l.examine(
			Options{Set: set},
			"missing_schema t0 s0/tenant_t0", "orphan_schema s1/tenant_t1", "wrong_shard t2 s0/tenant_t2", "wrong_schema t3 s1/elsewhere",
			"duplicate_schema t4 s1/tenant_t4", "foreign_schema t7 s1/tenant_t7", "duplicate_schema t5 s1/tenant_t7", "archived_schema t6 s0/tenant_t6",
			"stuck_provisioning t8 s0/tenant_t8", "leftover_scratch s0/gormtenancy_plan_old", "leftover_scratch s0/gormtenancy_plan_whose",
		)
		if r.Shards[1].Unclaimed != 2 || r.Shards[0].Unclaimed != 1 {
			t.Errorf("shards %+v", r.Shards)
		}
	})
}

// comment puts tenant i's mark on a schema of a shard.
func (l *lab) comment(i, shard int, schema string) {
	l.t.Helper()
	page, err := l.Entries(l.t.Context(), registry.EntryFilter{ID: id(i)})
	if err != nil || len(page) != 1 {
		l.t.Fatal(page, err)
	}
	execute(l.t, l.shards[shard], fmt.Sprintf("COMMENT ON SCHEMA %s IS 'gormtenancy tenant %s %s'", schema, id(i), page[0].Mark))
}

func TestFixMendsWhatIsSafe(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		set := load(t, one, two)
		l := newLab(t, s, 5, set)
		execute(t, l.control, "UPDATE tenancy.tenants SET version = 1 WHERE id = 't0'")
		l.on(1, "DROP TABLE goose_db_version")
		execute(t, l.control, "UPDATE tenancy.tenants SET state = 'provisioning', updated_at = now() - interval '1 h' WHERE id = 't2'")
		l.on(3, "DROP VIEW names")
		execute(t, l.shards[0], "CREATE SCHEMA gormtenancy_plan_old; CREATE TABLE gormtenancy_plan_old.t (); COMMENT ON SCHEMA gormtenancy_plan_old IS 'gormtenancy scratch 2020-01-01T00:00:00Z'; CREATE SCHEMA gormtenancy_plan_whose")
		want := []string{
			"version_mismatch t0 s0/tenant_t0", "unversioned t1 s1/tenant_t1", "stuck_provisioning t2 s0/tenant_t2",
			"drift t3 s1/tenant_t3", "leftover_scratch s0/gormtenancy_plan_old", "leftover_scratch s0/gormtenancy_plan_whose",
		}
		r := l.examine(Options{Set: set}, want...)
		planned, err := Fix(t.Context(), l.Registry, r, FixOptions{DryRun: true})
		if err != nil || len(planned) != 3 || planned[0].Done {
			t.Fatalf("%+v: %v", planned, err)
		}
		l.examine(Options{Set: set}, want...)
		seen := 0
		fixed, err := Fix(registry.WithActor(t.Context(), "alice"), l.Registry, r, FixOptions{Observe: func(Fixed) { seen++ }})
		if err != nil || len(fixed) != 3 || seen != 3 {
			t.Fatalf("%+v: %v", fixed, err)
		}
		l.examine(Options{Set: set}, want[1], want[3], want[5])
		for _, who := range []tenant.ID{"t0", "t2"} {
			events, err := l.Events(t.Context(), registry.EventFilter{Tenant: who, Limit: 100})
			if err != nil || events[len(events)-1].Actor != "alice" {
				t.Errorf("%v, %+v", err, events)
			}
		}
		if _, err := l.Get(t.Context(), "t2"); !errors.Is(err, tenant.ErrUnknown) {
			t.Errorf("the stuck tenant: %v", err)
		}
		again, err := Fix(t.Context(), l.Registry, r, FixOptions{})
		if err != nil || len(again) != 3 || !again[0].Done {
			t.Errorf("again: %+v: %v", again, err)
		}
	})
}

func TestABusyTenantIsNotMended(t *testing.T) {
	t.Parallel()
	l := newLab(t, pgtest.Any(t), 2, load(t, one))
	execute(t, l.control, "UPDATE tenancy.tenants SET version = 7 WHERE id = 't0'; UPDATE tenancy.tenants SET state = 'provisioning', updated_at = now() - interval '1 h' WHERE id = 't1'")
	r := l.examine(Options{}, "version_mismatch t0 s0/tenant_t0", "stuck_provisioning t1 s1/tenant_t1")
	locks, err := l.Locks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer locks.Close(t.Context())
	if _, err := locks.Try(t.Context(), []tenant.ID{"t0", "t1"}); err != nil {
		t.Fatal(err)
	}
	fixed, err := Fix(t.Context(), l.Registry, r, FixOptions{})
	if err == nil || len(fixed) != 2 || fixed[0].Done || fixed[1].Done || fixed[0].Error == "" {
		t.Errorf("%+v: %v", fixed, err)
	}
	l.examine(Options{}, "version_mismatch t0 s0/tenant_t0", "stuck_provisioning t1 s1/tenant_t1")
}

func TestAShardThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	set := load(t, one)
	l := newLab(t, pgtest.Any(t), 4, set)
	execute(t, l.control, "UPDATE tenancy.shards SET primary_dsn = 'postgres://u:topsecret@127.0.0.1:1/none' WHERE name = 's1'")
	l.on(2, "DROP TABLE item CASCADE")
	l.on(0, "DROP SCHEMA tenant_t0 CASCADE")
	r, err := Examine(t.Context(), l.Registry, Options{Set: set})
	var partial *PartialError
	if !errors.As(err, &partial) || len(partial.Shards) != 1 || partial.Shards["s1"] == nil || strings.Contains(err.Error(), "topsecret") {
		t.Fatalf("error %v", err)
	}
	l.found(r, "drift t2 s0/tenant_t2", "missing_schema t0 s0/tenant_t0")
	if r.Healthy() || r.Examined != 1 || r.Shards[1].Error == "" || !strings.Contains(r.Findings[1].Detail, "1 were not") {
		t.Errorf("%+v", r)
	}
}

func TestInterruptionLeavesNoScratch(t *testing.T) {
	t.Parallel()
	l := newLab(t, pgtest.Any(t), 1, load(t, one))
	slow := load(t, "-- +goose Up\nCREATE TABLE item (id int);\nSELECT pg_sleep(60);\n")
	config, err := l.ShardConfig(t.Context(), "s0")
	if err != nil {
		t.Fatal(err)
	}
	before := l.schemas()
	ctx, cancel := contextWhen(t, func() bool { return l.schemas() > before })
	defer cancel()
	if err := slow.Sample(ctx, config, 1, nil, func(string) error { return nil }); err == nil {
		t.Error("it was not interrupted")
	}
	if n := l.schemas(); n != before {
		t.Errorf("%d schemas, there were %d", n, before)
	}
	if err := slow.Sample(t.Context(), config, 9, nil, nil); !errors.Is(err, migrations.ErrVersion) {
		t.Errorf("error %v", err)
	}
}

func TestScriptAndFilesMakeTheSame(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		set, dsn := load(t, one, two), s.Database(t)
		script, ok := set.Script()
		if !ok {
			t.Fatal("no script")
		}
		execute(t, dsn, "CREATE SCHEMA by_script; SET search_path = by_script; "+script)
		execute(t, dsn, "CREATE SCHEMA by_file")
		db, err := sql.Open("pgx", dsn+"&search_path=by_file")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := set.Apply(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		var sums [2]string
		for i, schema := range []string{"by_script", "by_file"} {
			r, err := structure.One(t.Context(), conn, schema)
			if err != nil || r.Version != 2 || len(r.Structure.Objects()) < 5 {
				t.Fatalf("%+v: %v", r, err)
			}
			sums[i] = r.Structure.Fingerprint()
		}
		if sums[0] != sums[1] {
			t.Errorf("fingerprints %v", sums)
		}
	})
}

// TestSelection: only what is asked for is examined and told of; without migrations it
// is compared with all the same.
func TestSelection(t *testing.T) {
	t.Parallel()
	set := load(t, one)
	l := newLab(t, pgtest.Any(t), 6, set)
	l.on(1, "ALTER TABLE item ADD COLUMN mine text")
	l.on(2, "DROP SCHEMA tenant_t2 CASCADE")
	execute(t, l.shards[0], "CREATE SCHEMA stray; COMMENT ON SCHEMA stray IS 'gormtenancy tenant gone 12'")
	only := func(ids ...tenant.ID) func(tenant.Tenant) bool {
		return func(t tenant.Tenant) bool { return slices.Contains(ids, t.ID) }
	}
	l.examine(Options{}, "drift t1 s1/tenant_t1", "missing_schema t2 s0/tenant_t2", "orphan_schema s0/stray")
	for _, o := range []Options{{Set: set}, {}} {
		o.Only = only("t0", "t1")
		if r := l.examine(o, "drift t1 s1/tenant_t1"); r.Tenants != 2 || r.Examined != 2 {
			t.Errorf("%+v", r)
		}
	}
	l.examine(Options{Only: only("t1")}, "drift t1 s1/tenant_t1")
	o := Options{Set: set, Only: only("t0")}
	last := Progress{}
	o.Progress = func(p Progress) { last = p }
	if l.examine(o); last.Total != 1 {
		t.Errorf("%d schemas were read", last.Total)
	}
	r := l.examine(Options{Shards: []string{"s0"}}, "missing_schema t2 s0/tenant_t2", "orphan_schema s0/stray")
	if r.Tenants != 3 || len(r.Shards) != 1 || !strings.HasSuffix(r.Findings[0].Detail, "; 1 were not") {
		t.Errorf("%+v", r)
	}
}
