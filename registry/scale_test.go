package registry

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// rows is how many tenants TestPlans registers. A million takes a minute:
//
//	go test ./registry -run TestPlans -v -args -registry.rows=1000000
var rows = flag.Int("registry.rows", 20_000, "tenants that TestPlans registers")

// register enters n tenants without what each change sets off.
func register(t testing.TB, dsn string, n int) {
	t.Helper()
	run(t, dsn, `SET session_replication_role = replica;
		INSERT INTO tenancy.shards (name, region, primary_dsn) SELECT 's' || i, 'r' || i % 3, 'dsn' || i FROM generate_series(1, 20) i;
		INSERT INTO tenancy.tenants (id, schema_name, state, tier, shard, region, origin)
			SELECT 't' || lpad(i::text, 9, '0'), 'tenant_t' || i,
				CASE WHEN i % 1000 = 0 THEN 'provisioning' WHEN i % 50 = 0 THEN 'suspended' ELSE 'active' END,
				CASE WHEN i % 100 = 0 THEN 'pro' ELSE 'standard' END, 's' || i % 20 + 1, 'r' || (i % 20 + 1) % 3, 'x'
			FROM generate_series(1, `+fmt.Sprint(n)+`) i;
		ANALYZE tenancy.tenants; ANALYZE tenancy.shards`)
}

// TestPlans: however many tenants there are, no question about one of them or
// a page of them reads the table from end to end, whether PostgreSQL plans
// with the values or without.
func TestPlans(t *testing.T) {
	t.Parallel()
	r := openHome(t)
	register(t, r.cfg.DSN, *rows)
	middle := tenant.ID(fmt.Sprintf("t%09d", *rows/2))
	for name, q := range questions(r, middle) {
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			plan := explain(t, r.cfg.DSN, mode, q.sql, q.args)
			if strings.Contains(plan, "Seq Scan on tenants") || !strings.Contains(plan, "Index") {
				t.Errorf("%s, %s:\n%s", name, mode, plan)
			}
		}
	}
	for name, f := range filters(middle) {
		begin := time.Now()
		page := must(r.List(t.Context(), f))(t)
		t.Logf("%d rows, %-14s %3d in %s", *rows, name, len(page), time.Since(begin))
	}
	begin := time.Now()
	for i := range 1000 {
		must(r.Get(t.Context(), tenant.ID(fmt.Sprintf("t%09d", 1+i*(*rows/1000)))))(t)
	}
	t.Logf("%d rows, Get takes %s", *rows, time.Since(begin)/1000)
}

type question struct {
	sql  string
	args []any
}

// filters are each condition alone and with the others, on pages in the middle.
func filters(middle tenant.ID) map[string]Filter {
	return map[string]Filter{
		"first page":     {},
		"page":           {After: middle},
		"large page":     {After: middle, Limit: MaxLimit},
		"prefix":         {Prefix: string(middle[:7])},
		"prefix, page":   {Prefix: string(middle[:5]), After: middle},
		"state":          {State: tenant.StateSuspended},
		"state, page":    {State: tenant.StateSuspended, After: middle},
		"state, none":    {State: tenant.StateMoving},
		"tier":           {Tier: "pro"},
		"tier, page":     {Tier: "pro", After: middle},
		"tier, none":     {Tier: "nothing"},
		"shard":          {Shard: "s7"},
		"shard, page":    {Shard: "s7", After: middle},
		"shard, prefix":  {Shard: "s7", Prefix: string(middle[:7])},
		"state, tier":    {State: tenant.StateSuspended, Tier: "pro", After: middle},
		"region":         {Region: "r1", After: middle},
		"attributes":     {Attributes: `{"plan": "gold"}`},
		"version":        {BelowVersion: 5, After: middle},
		"up to date":     {BelowVersion: -1},
		"deleting":       {Deleting: true},
		"deleting, page": {Deleting: true, After: middle},
		"restorable":     {Restorable: true, After: middle},
		"all":            {State: tenant.StateActive, Tier: "pro", Shard: "s1", Prefix: "t", After: middle},
	}
}

func questions(r *Registry, middle tenant.ID) map[string]question {
	all := map[string]question{
		"get":      {r.sql.get, []any{middle}},
		"takeOver": {r.sql.takeOver, []any{middle, 60.0}},
		"activate": {r.sql.activate, []any{middle, "x", 1, 0}},
		"putAside": {r.sql.putAside, []any{middle, "x", 1, 0}},
		"spare":    {r.sql.takeSpare, []any{"t", "pro", "{}", "s7", "one"}},
		"spares":   {r.sql.countSpares, []any{"s7", "one"}},
		"old":      {r.sql.oldSpares, []any{"one", 60.0, 60.0}},
		"discard":  {r.sql.discardSpare, []any{middle}},
		"rename":   {r.sql.rename, []any{middle, "x"}},
		"tier":     {r.sql.setTier, []any{middle, "x"}},
		"remove":   {r.sql.remove, []any{middle, "x", 1}},
		"suspend":  {r.sql.suspend, []any{middle}},
		"resume":   {r.sql.resume, []any{middle}},
		"retire":   {r.sql.retire, []any{middle, true}},
		"after":    {r.sql.deleteAfter, []any{middle, 1.0}},
		"undelete": {r.sql.undelete, []any{middle}},
		"due":      {r.sql.due, []any{"2020-01-01", middle, 100}},
		"archive":  {r.sql.archive, []any{middle}},
		"count":    {r.sql.countTenants, []any{"s7"}},
	}
	for name, f := range filters(middle) {
		sql, args := f.build(r.sql.list)
		all["list "+name] = question{sql, args}
	}
	return all
}

// explain returns the plan of a statement with parameters.
func explain(t testing.TB, dsn, mode, sql string, args []any) string {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	literals := make([]string, len(args))
	for i, arg := range args {
		literals[i] = fmt.Sprintf("'%v'", arg)
	}
	execute := "EXECUTE q"
	if len(args) > 0 {
		execute += "(" + strings.Join(literals, ", ") + ")"
	}
	script := fmt.Sprintf("SET plan_cache_mode = %s; PREPARE q AS %s; EXPLAIN %s", mode, sql, execute)
	results, err := conn.PgConn().Exec(ctx, script).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	var plan strings.Builder
	for _, row := range results[len(results)-1].Rows {
		plan.Write(row[0])
		plan.WriteByte('\n')
	}
	return plan.String()
}
