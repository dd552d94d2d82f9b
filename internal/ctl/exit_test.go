package ctl

import (
	"strings"
	"testing"
)

// exitCodes are command lines, and how they end on a fleet of acme and globex.
var exitCodes = []struct {
	args string
	code int
	says string
}{
	{"tenant get acme", codeDone, ""},
	{"nonsense", codeUsage, "unknown command"},
	{"tenant", codeUsage, "missing"},
	{"tenant sspend acme", codeUsage, "did you mean suspend?"},
	{"tennant list", codeUsage, "did you mean tenant?"},
	{"tenant get", codeUsage, "want one ID"},
	{"tenant get A!", codeUsage, "invalid tenant ID"},
	{"tenant get acme --nonsense", codeUsage, "unknown flag"},
	{"tenant list -o yaml", codeUsage, "table or json"},
	{"tenant list --limit 0", codeUsage, "--limit"},
	{"tenant list --limit 5 --all", codeUsage, "none of the others"},
	{"tenant list --state sleepy", codeUsage, "unknown tenant state"},
	{"tenant create new --schema pg_x", codeUsage, "invalid tenant schema"},
	{"tenant create new --attributes []", codeUsage, "invalid tenant attributes"},
	{"tenant create new --migrations testdata/nothing", codeUsage, "no such file"},
	{"tenant name add acme", codeUsage, "at least one"},
	{"tenant name add acme --host a_/b", codeUsage, "invalid name"},
	{"tenant set acme", codeUsage, "at least one"},
	{"tenant events --since yesterday", codeUsage, "--since"},
	{"migrate up", codeUsage, "dir"},
	{"migrate up --dir testdata", codeUsage, "no migrations"},
	{"migrate up --dir testdata/migrations --target 7", codeUsage, "no such version"},
	{"migrate up --dir testdata/migrations --ring x=y", codeUsage, "--ring"},
	{"migrate plan --dir testdata/migrations --down", codeUsage, "--target"},
	{"migrate down --dir testdata/migrations", codeUsage, "target"},
	{"shard add", codeUsage, "arg"},
	{"shard add x --primary env:NO_SUCH", codeUsage, "NO_SUCH"},
	{"shard add x --primary file:testdata/nothing", codeUsage, "read the DSN"},
	{"shard add x --primary mysql://u:s3cr3t-p4ssw0rd@h/d", codeUsage, "cannot be read"},
	{"init --region eu", codeUsage, "--shard"},
	{"init --shard A!", codeUsage, "shard name"},
	{"init --control-schema public", codeUsage, "--control-schema"},
	{"tenant set acme --tier ü", codeUsage, "tier"},
	{"migrate up --dir testdata/migrations --per-shard 0", codeUsage, "--per-shard"},
	{"tenant get nobody", codeMissing, "unknown tenant"},
	{"tenant get --alias nobody", codeMissing, "unknown tenant"},
	{"tenant suspend nobody", codeMissing, "unknown tenant"},
	{"tenant delete nobody --yes", codeMissing, "unknown tenant"},
	{"tenant name list nobody", codeMissing, "unknown tenant"},
	{"tenant create new --shard nowhere", codeMissing, "unknown shard"},
	{"tenant create new --region nowhere", codeMissing, "no shard"},
	{"tenant adopt new --schema nowhere", codeMissing, "does not exist"},
	{"tenant name remove acme --host nobody.example", codeMissing, "nothing of that name"},
	{"shard remove nowhere", codeMissing, "unknown shard"},
	{"migrate up --dir testdata/migrations --canary nobody", codeMissing, "unknown tenant"},
	{"migrate up --dir testdata/migrations --tenants nobody", codeMissing, "unknown tenant"},
	{"migrate up --dir testdata/migrations --shard nowhere", codeMissing, "unknown shard"},
	{"tenant delete acme --after soon", codeUsage, "30d"},
	{"tenant delete acme --after -1h", codeUsage, "30d"},
	{"tenant archive acme", codeUsage, "to"},
	{"tenant archive acme --to testdata/nothing", codeUsage, "no such file"},
	{"tenant archive acme --to main_test.go", codeUsage, "no folder"},
	{"tenant restore acme", codeUsage, "from"},
	{"tenant copy acme", codeUsage, "2 arg"},
	{"tenant copy acme Z!", codeUsage, "invalid tenant ID"},
	{"tenant roles acme globex", codeUsage, "at most 1"},
	{"doctor --migrations testdata", codeUsage, "no migrations"},
	{"doctor --migrations testdata/migrations --reference acme", codeUsage, "none of the others"},
	{"doctor --per-shard 0", codeUsage, "--per-shard"},
	{"doctor --tenants nobody", codeMissing, "unknown tenant"},
	{"doctor --reference nobody", codeMissing, "unknown tenant"},
	{"doctor --shard nowhere", codeMissing, "unknown shard"},
	{"doctor", codeDone, ""},
	{"tenant delete nobody --after 1h", codeMissing, "unknown tenant"},
	{"tenant undelete nobody", codeMissing, "unknown tenant"},
	{"tenant archive nobody --to testdata --yes", codeMissing, "unknown tenant"},
	{"tenant restore nobody --from testdata", codeMissing, "unknown tenant"},
	{"tenant copy nobody new", codeMissing, "unknown tenant"},
	{"tenant copy acme new --shard nowhere", codeMissing, "unknown shard"},
	{"tenant roles nobody", codeMissing, "unknown tenant"},
	{"tenant restore acme --from testdata", codeRefused, "--restorable"},
	{"tenant copy acme globex", codeRefused, "exists"},
	{"tenant copy acme new --schema tenant_globex", codeRefused, "exists"},
	{"tenant create new --schema public", codeUsage, "invalid tenant schema"},
	{"tenant archive acme --to testdata --yes --programs testdata", codeFailed, "--programs DIR"},
	{"tenant delete acme --after 30d", codeUnconfirmed, "--yes"},
	{"tenant archive acme --to testdata", codeUnconfirmed, "--yes"},
	{"doctor --fix", codeUnconfirmed, "--yes"},
	{"tenant create acme", codeRefused, "exists"},
	{"tenant rename acme globex", codeRefused, "exists"},
	{"tenant rename acme --schema x", codeRefused, "not possible"},
	{"shard remove main", codeRefused, "has tenants"},
	{"shard add second --primary env:GORMTENANCY_DSN", codeRefused, "another shard's"},
	{"shard add main --region us --primary env:GORMTENANCY_DSN", codeRefused, "--replace"},
	{"tenant list --control-schema other", codeUnreachable, "tenantctl init"},
	{"tenant delete acme", codeUnconfirmed, "--yes"},
	{"limits get nobody", codeMissing, "unknown tenant"},
	{"limits get", codeUsage, "1 arg"},
	{"tenant usage nobody", codeMissing, "unknown tenant"},
	{"tenant usage acme --for 0s", codeUsage, "--for"},
	{"tenant top --by luck", codeUsage, "errors, rows, statements, time, wait"},
	{"usage --limit 0", codeUsage, "--limit"},
	{"usage --by luck", codeUsage, "shard, tenant"},
	{"pools --server", codeDone, ""},
	{"migrate down --dir testdata/migrations --target 0", codeUnconfirmed, "--yes"},
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "acme", "globex")
	for _, c := range exitCodes {
		r := l.run(strings.Fields(c.args)...)
		if r.code != c.code || !strings.Contains(r.err, c.says) {
			t.Errorf("tenantctl %s: code %d, want %d; says %q, want %q", c.args, r.code, c.code, r.err, c.says)
		}
		if c.code != codeDone && r.out != "" {
			t.Errorf("tenantctl %s: failed, and standard output has %q", c.args, r.out)
		}
		requireDocuments(t, c.args, l.run(append(strings.Fields(c.args), "-o", "json")...))
	}
}

// TestSilentDSNs: whatever is wrong with a DSN, no output repeats its password.
// (lab.run looks at every output.)
func TestSilentDSNs(t *testing.T) {
	t.Parallel()
	l := newFleet(t)
	good := l.dsn
	at := func(host string) string { return "postgres://app:" + password + "@" + host + "/app?connect_timeout=2" }
	for _, c := range []struct {
		dsn  string
		code int
	}{
		{"", codeUsage},
		{at("127.0.0.1:1"), codeUnreachable},
		{at("no-such-host.invalid"), codeUnreachable},
		{strings.Replace(good, "/test_", "/no_test_", 1), codeUnreachable},
		{strings.Replace(good, "postgres:"+password, "nobody:"+password, 1), codeUnreachable},
		{at("127.0.0.1:x"), codeUsage},
		{"postgres://app:" + password + "#@127.0.0.1:1/app", codeUnreachable},
		{"mysql://app:" + password + "@127.0.0.1/app", codeUsage},
		{"host=127.0.0.1 port=1 user=app password=" + password + " connect_timeout=2", codeUnreachable},
		{"host=127.0.0.1 password='" + password, codeUsage},
	} {
		l.env[envDSN] = c.dsn
		for _, args := range [][]string{
			{"tenant", "list"},
			{"tenant", "list", "-o", "json", "--debug"},
			{"init"},
			{"tenant", "list", "--dsn", c.dsn},
			{c.dsn, "tenant", "list"},
		} {
			want := c.code
			if args[0] == c.dsn {
				want = codeUsage
			}
			if r := l.run(args...); r.code != want {
				t.Errorf("%v with %q: code %d, want %d: %s", args[len(args)-1:], c.dsn, r.code, want, r.err)
			}
		}
		l.env["BAD"] = c.dsn
		l.env[envDSN] = good
		if r := l.run("shard", "add", "x", "--primary", "env:BAD"); r.code == codeDone {
			t.Errorf("shard add with %q succeeded", c.dsn)
		}
	}
	l.env[envDSN] = "file:testdata/nothing"
	l.do(codeUsage, "tenant", "list")
	l.env[envDSN] = "env:GOOD"
	l.env["GOOD"] = good
	l.do(codeDone, "tenant", "list", "--debug")
	l.do(codeDone, "shard", "list")
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	l := newFleet(t)
	r := l.run("tenant", "list", "--timeout", "1ns")
	if r.code != codeFailed || !strings.Contains(r.err, "--timeout 1ns") {
		t.Errorf("code %d, %s", r.code, r.err)
	}
}

// TestOldControlPlane: only init changes the control plane's tables.
func TestOldControlPlane(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.do(codeUnreachable, "tenant", "list")
	if query[bool](l, "SELECT to_regnamespace('tenancy') IS NOT NULL") {
		t.Fatal("a list made the control plane")
	}
	l.do(codeDone, "init")
	query[int](l, "WITH d AS (DELETE FROM tenancy.migrations WHERE version_id > 1 RETURNING 1) SELECT count(*)::int FROM d")
	r := l.do(codeRefused, "tenant", "list")
	if !strings.Contains(r.err, "tenantctl init") {
		t.Error(r.err)
	}
}
