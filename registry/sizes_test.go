package registry

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// BenchmarkMeasureSizes' schemas have 10 tables with a primary key and an index each.
var sized = flag.Int("registry.sized", 1000, "tenants that BenchmarkMeasureSizes measures")

func sizesIn(t testing.TB, r *Registry) map[tenant.ID]int64 {
	t.Helper()
	sizes := map[tenant.ID]int64{}
	for _, s := range must(r.Sizes(t.Context(), SizeFilter{Limit: MaxLimit}))(t) {
		sizes[s.Tenant] = s.Bytes
	}
	return sizes
}

// TestMeasureSizes: the sizes are those of all that is in the schema, on whatever shard,
// and governors hear only if others are over the limit.
func TestMeasureSizes(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	ctx := t.Context()
	far := newDatabase(t)
	if err := r.AddShard(ctx, tenant.Shard{Name: "far", Primary: far}); err != nil {
		t.Fatal(err)
	}
	for id, shard := range map[tenant.ID]string{"acme": "default", "empty": "default", "distant": "far", "lost": "far"} {
		must(r.Create(ctx, tenant.Spec{ID: id, Shard: shard}))(t)
	}
	const tables = `CREATE TABLE %[1]s.a (n int PRIMARY KEY, t text); CREATE INDEX ON %[1]s.a (t);
		INSERT INTO %[1]s.a SELECT i, repeat('x', 100) FROM generate_series(1, 1000) i; CREATE VIEW %[1]s.v AS SELECT 1 AS n;
		CREATE TABLE %[1]s.b (id bigint GENERATED ALWAYS AS IDENTITY); CREATE MATERIALIZED VIEW %[1]s.m AS SELECT * FROM %[1]s.a;
		CREATE TABLE %[1]s.part (n int) PARTITION BY LIST (n); CREATE TABLE %[1]s.one PARTITION OF %[1]s.part FOR VALUES IN (1);
		CREATE TYPE %[1]s.pair AS (a int, b int); CREATE FUNCTION %[1]s.f() RETURNS int LANGUAGE sql RETURN 1`
	run(t, r.cfg.DSN, fmt.Sprintf(tables, "tenant_acme"))
	run(t, far, fmt.Sprintf(tables, "tenant_distant")+"; DROP SCHEMA tenant_lost")
	if n := must(r.MeasureSizes(ctx))(t); n != 3 {
		t.Errorf("%d were measured", n)
	}
	want := query[int64](t, r.cfg.DSN, `SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
		WHERE relnamespace = 'tenant_acme'::regnamespace AND relkind IN ('r', 'm', 'S')`)
	if got := sizesIn(t, r); len(got) != 3 || got["acme"] != want || got["distant"] != want || got["empty"] != 0 || want < 100_000 {
		t.Errorf("%v, want %d", got, want)
	}
	listening(t, r.cfg.DSN, 1)
	if err := r.SetTierLimits(ctx, quota.TierAny, quota.Limits{StorageBytes: want + 1}); err != nil {
		t.Fatal(err)
	}
	told := countPolicyChanges(t, r)
	must(r.MeasureSizes(ctx))(t)
	if n := told(); n != 0 || len(must(r.Policy(ctx))(t).Full) != 0 {
		t.Errorf("nobody is over, and it was told %d times", n)
	}
	run(t, far, "INSERT INTO tenant_distant.a SELECT i, repeat('x', 100) FROM generate_series(2000, 4000) i")
	must(r.MeasureSizes(ctx))(t)
	if p, n := must(r.Policy(ctx))(t), told(); n != 1 || len(p.Full) != 1 || p.Full["distant"] <= want {
		t.Errorf("it was told %d times of %v", n, p.Full)
	}
}

// countPolicyChanges returns a function that tells how often a registry has heard of
// another policy.
func countPolicyChanges(t testing.TB, r *Registry) func() int {
	t.Helper()
	caughtUp(t, r)
	told := make(chan struct{}, 10_000)
	t.Cleanup(r.OnPolicyChange(func() { told <- struct{}{} }))
	return func() int {
		r.migrating.Flush()
		caughtUp(t, r)
		return len(told)
	}
}

// TestTenantsComeAndGoQuietly: tenants without limits change no policy when they are made,
// renamed and deleted; those that have some take them along.
func TestTenantsComeAndGoQuietly(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	ctx := t.Context()
	listening(t, r.cfg.DSN, 1)
	told := countPolicyChanges(t, r)
	create(t, r, "acme")
	must(r.Rename(ctx, "acme", "acme2"))(t)
	if err := r.Delete(ctx, "acme2"); err != nil {
		t.Fatal(err)
	}
	if n := told(); n != 0 {
		t.Errorf("it was told %d times", n)
	}
	create(t, r, "globex")
	if err := r.SetLimits(ctx, "globex", nil); err != nil {
		t.Fatal(err)
	}
	must(r.Quarantine(ctx, "globex", QuarantineSpec{Reason: "a\x00b"}))(t)
	run(t, r.cfg.DSN, "INSERT INTO tenancy.sizes VALUES ('globex', 5)")
	must(r.Rename(ctx, "globex", "globex2"))(t)
	p := must(r.Policy(ctx))(t)
	if p.Tenants["globex2"] == nil || p.Quarantined["globex2"].Reason != "ab" || sizesIn(t, r)["globex2"] != 5 || told() < 3 {
		t.Errorf("%+v, told %d times", p, told())
	}
	if err := r.Delete(ctx, "globex2"); err != nil {
		t.Fatal(err)
	}
	if p := must(r.Policy(ctx))(t); len(p.Tenants)+len(p.Quarantined)+len(sizesIn(t, r)) != 0 {
		t.Errorf("%+v", p)
	}
	before := told()
	run(t, r.cfg.DSN, "TRUNCATE tenancy.quarantines")
	if n := told(); n != before+1 {
		t.Errorf("of TRUNCATE it was told %d times", n-before)
	}
}

// TestFullByHand: a limit that no quota would write keeps nobody from the policy.
func TestFullByHand(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	create(t, r, "a")
	create(t, r, "b")
	run(t, r.cfg.DSN, `INSERT INTO tenancy.sizes VALUES ('a', 500), ('b', 500);
		INSERT INTO tenancy.tenant_limits VALUES ('a', '{"storage_bytes": "5GB"}'), ('b', '{"storage_bytes": 500}')`)
	if p := must(r.Policy(t.Context()))(t); len(p.Full) != 1 || p.Full["b"] != 500 {
		t.Errorf("%+v", p.Full)
	}
}

// TestMeasureBusy: a table that is locked keeps no other tenant from being measured.
func TestMeasureBusy(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	for _, id := range []tenant.ID{"a", "b", "c", "d"} {
		create(t, r, id)
		run(t, r.cfg.DSN, fmt.Sprintf("CREATE TABLE tenant_%s.a (n int PRIMARY KEY)", id))
	}
	conn := must(r.connect(t.Context(), r.conn))(t)
	defer closeConn(t.Context(), conn)
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE tenant_b.a"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // the lock is held for ever
	defer cancel()
	n := must(r.MeasureSizes(ctx))(t)
	if got := sizesIn(t, r); n != 3 || len(got) != 3 || got["c"] == 0 {
		t.Errorf("%d, %v", n, got)
	}
}

// TestMeasureDue: of many processes one measures, if it is time, and if anybody wants it.
func TestMeasureDue(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	ctx := t.Context()
	create(t, r, "acme")
	due := func(what string, want bool) {
		t.Helper()
		if did, err := r.measureDue(ctx); err != nil || did != want {
			t.Errorf("%s: it measured: %t, %v", what, did, err)
		}
	}
	due("without limits", false)
	if err := r.SetLimits(ctx, "acme", []byte(`{"storage_bytes": 5}`)); err != nil {
		t.Fatal(err)
	}
	l := must(r.lock(ctx, sizesLock, false))(t)
	due("while another is at it", false)
	l.unlock(ctx)
	due("with a limit", true)
	due("again", false)
	run(t, r.cfg.DSN, "UPDATE tenancy.sizes SET measured_at = now() - interval '61 min'")
	due("after an hour", true)

	often := open(t, Config{DSN: newDatabase(t), HomeShard: "default", MeasureEvery: 10 * time.Millisecond})
	create(t, often, "acme")
	eventually(t, "a size, without a limit", func() bool { return len(sizesIn(t, often)) == 1 })
}

func BenchmarkMeasureSizes(b *testing.B) {
	r := benchmarkRegistry(b)
	run(b, r.cfg.DSN, fmt.Sprintf(`SET session_replication_role = replica;
		INSERT INTO tenancy.tenants (id, schema_name, state, tier, shard, region, origin)
			SELECT 't' || i, 'tenant_t' || i, 'active', 'standard', 'default', '', 'x' FROM generate_series(1, %d) i`, *sized))
	const make10 = `DO $$ BEGIN FOR i IN %d..%d LOOP EXECUTE 'CREATE SCHEMA tenant_t' || i; FOR j IN 1..10 LOOP
		EXECUTE format('CREATE TABLE tenant_t%%1$s.a%%2$s (n int PRIMARY KEY, m text); CREATE INDEX ON tenant_t%%1$s.a%%2$s (m); INSERT INTO tenant_t%%1$s.a%%2$s VALUES (1)', i, j);
		END LOOP; END LOOP; END $$`
	for i := 1; i <= *sized; i += 50 {
		run(b, r.cfg.DSN, fmt.Sprintf(make10, i, min(i+49, *sized)))
	}
	b.ResetTimer()
	for b.Loop() {
		if n := must(r.MeasureSizes(b.Context()))(b); n < *sized {
			b.Fatalf("%d were measured", n)
		}
	}
}

// BenchmarkPolicy reads a policy with 10,000 exceptions and as many sizes.
func BenchmarkPolicy(b *testing.B) {
	r := benchmarkRegistry(b)
	register(b, r.cfg.DSN, 10_000)
	run(b, r.cfg.DSN, `SET session_replication_role = replica;
		INSERT INTO tenancy.tenant_limits SELECT id, '{"concurrency": 9, "storage_bytes": 1000}' FROM tenancy.tenants;
		INSERT INTO tenancy.tier_limits SELECT 'tier' || i, '{"concurrency": 9, "storage_bytes": 1000}' FROM generate_series(1, 10) i;
		INSERT INTO tenancy.sizes SELECT id, 1 + 2000 * (random() < 0.01)::int, now() FROM tenancy.tenants;
		ANALYZE tenancy.tenant_limits; ANALYZE tenancy.sizes`)
	b.ResetTimer()
	for b.Loop() {
		if p := must(r.Policy(b.Context()))(b); len(p.Tenants) < 10_000 || len(p.Full) == 0 {
			b.Fatalf("%d exceptions, %d full", len(p.Tenants), len(p.Full))
		}
	}
}
