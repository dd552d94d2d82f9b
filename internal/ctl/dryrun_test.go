package ctl

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// everything is all rows of the control plane's tables, and the names of all schemas
// and tables of the database.
const everything = `SELECT string_agg(line, E'\n' ORDER BY line) FROM (
	SELECT 'tenant ' || t::text AS line FROM tenancy.tenants t UNION ALL
	SELECT 'shard ' || s::text FROM tenancy.shards s UNION ALL
	SELECT 'name ' || n::text FROM tenancy.names n UNION ALL
	SELECT 'event ' || e::text FROM tenancy.events e UNION ALL
	SELECT 'limit ' || l::text FROM tenancy.tier_limits l UNION ALL
	SELECT 'exception ' || l::text FROM tenancy.tenant_limits l UNION ALL
	SELECT 'lane ' || l::text FROM tenancy.lanes l UNION ALL
	SELECT 'quarantine ' || q::text FROM tenancy.quarantines q UNION ALL
	SELECT 'role ' || r::text FROM tenancy.roles r UNION ALL
	SELECT 'login ' || l.name FROM tenancy.logins l UNION ALL
	SELECT 'version ' || m::text FROM tenancy.migrations m UNION ALL
	SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp' UNION ALL
	SELECT 'table ' || c.oid::regclass::text FROM pg_class c) AS all_lines`

// TestDryRun: no command that knows --dry-run changes anything with it, and each
// does without it, or the test would say nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "acme", "globex", "idle", "doomed")
	l.env["SHARD_DSN"] = newDatabase(t)
	l.do(codeDone, "tenant", "suspend", "idle")
	l.do(codeDone, "tenant", "name", "add", "acme", "--alias", "C-1")
	l.do(codeDone, "shard", "add", "empty", "--primary", "env:SHARD_DSN")
	query[string](l, "WITH x AS (SELECT 1) SELECT 'x' FROM x")
	l.hold("CREATE SCHEMA stray; COMMIT; BEGIN")()
	l.programs = programsFor(t)
	l.dropsRoles()
	dir := t.TempDir()
	commands := []string{
		"shard remove empty",
		"shard add empty --primary env:SHARD_DSN",
		"tenant create new --shard main --migrations testdata/migrations",
		"tenant adopt stray --schema stray --shard main",
		"tenant suspend acme",
		"tenant resume acme",
		"tenant set acme --tier pro --attributes {\"a\":1}",
		"tenant rename globex initech",
		"tenant rename idle --schema tenant_busy",
		"tenant name add acme --host acme.example",
		"tenant name remove acme --alias C-1",
		"migrate up --dir testdata/migrations",
		"migrate down --dir testdata/migrations --target 0",
		"doctor --fix",
		"tenant copy acme acme-two --shard main",
		"tenant delete new --after 30d",
		"tenant undelete new",
		"tenant archive acme --to " + dir,
		"tenant restore acme --from " + dir,
		"tenant create strict --shard main --role",
		"tenant roles",
		"limits set --tier free concurrency=4",
		"limits set --tenant acme rows_per_result=10",
		"limits set --lane connections=1",
		"limits unset --tenant acme",
		"tenant quarantine acme --for 30m",
		"tenant release acme",
		"tenant delete doomed",
	}
	spoil := map[string]string{"doctor --fix": "UPDATE tenancy.tenants SET version = 1 WHERE id = 'acme'"}
	codes := map[string]int{"doctor --fix": codePartly} // it tells what it found
	for _, text := range commands {
		args := strings.Fields(text)
		cmd, _, err := (&app{}).root().Find(args)
		if err != nil {
			t.Fatal(err)
		}
		if l.programs == "" && cmd.Flags().Lookup("programs") != nil {
			continue
		}
		if sql := spoil[text]; sql != "" {
			l.hold(sql + "; COMMIT; BEGIN")()
		}
		before := query[string](l, everything)
		r := l.do(codes[text], append(slices.Clone(args), "--dry-run", "--quiet")...)
		if after := query[string](l, everything); after != before {
			t.Errorf("%s --dry-run changed something:\n%s\nbefore:\n%s", text, after, before)
		}
		if !strings.Contains(r.out, "would") {
			t.Errorf("%s --dry-run says %q", text, r.out)
		}
		if cmd.Flags().Lookup("yes") != nil {
			args = append(args, "--yes")
		}
		l.do(codeDone, args...)
		if query[string](l, everything) == before {
			t.Errorf("%s changed nothing", text)
		}
	}
	tried := append(commands, "init") // whose dry run TestInitDryRun looks at
	for _, path := range dryRunners((&app{}).root()) {
		if !slices.ContainsFunc(tried, func(text string) bool { return strings.HasPrefix(text, path) }) {
			t.Errorf("%s is not tried", path)
		}
	}
}

// dryRunners returns the commands that know --dry-run.
func dryRunners(cmd *cobra.Command) (paths []string) {
	if cmd.Flags().Lookup("dry-run") != nil {
		paths = append(paths, strings.TrimPrefix(cmd.CommandPath(), program+" "))
	}
	for _, c := range cmd.Commands() {
		paths = append(paths, dryRunners(c)...)
	}
	return paths
}

func TestInitDryRun(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.do(codeDone, "init", "--shard", "main", "--dry-run")
	if query[bool](l, "SELECT to_regnamespace('tenancy') IS NOT NULL") {
		t.Error("it made the schema")
	}
	l.do(codeDone, "init")
	before := query[string](l, everything)
	r := l.do(codeDone, "init", "--shard", "main", "--dry-run")
	if query[string](l, everything) != before || !strings.Contains(r.out, "shard main would be registered") {
		t.Errorf("it registered a shard, and says %q", r.out)
	}
}
