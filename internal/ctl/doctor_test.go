package ctl

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gormtenancy/gormtenancy/internal/doctor"
)

// examined executes doctor, whose report it returns.
func (l *lab) examined(code int, args ...string) (d diagnosis) {
	l.t.Helper()
	r := l.do(code, append(append([]string{"doctor"}, args...), "-o", "json")...)
	if t, ok := l.t.(*testing.T); ok {
		requireDocuments(t, fmt.Sprint("doctor ", args), r)
	}
	if err := json.Unmarshal([]byte(r.out), &d); err != nil {
		l.t.Fatal(err)
	}
	return d
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "acme", "drifted", "globex", "lost", "mistaken")
	l.do(codeDone, "migrate", "up", "--dir", sampleFiles)
	if d := l.examined(codeDone, "--migrations", sampleFiles); !d.Healthy || d.Examined != 5 || len(d.Fixes) != 0 {
		t.Errorf("%+v", d)
	}
	l.hold(`ALTER TABLE tenant_drifted.orders DROP COLUMN note, ADD COLUMN extra int; DROP SCHEMA tenant_lost CASCADE;
		UPDATE tenancy.tenants SET version = 1 WHERE id = 'mistaken'; COMMIT; BEGIN`)()
	if d := l.examined(codePartly, "--migrations", sampleFiles); d.Healthy || len(d.Findings) != 3 {
		t.Errorf("%+v", d)
	}
	r := l.do(codePartly, "doctor", "--migrations", sampleFiles)
	for _, want := range []string{
		"missing_schema: 1 tenants without their schema\n  tenant lost on shard main: its schema is on no shard",
		"  what mends it: restore the schema from a backup, or delete the tenant: tenantctl tenant delete lost\n",
		"drift: 1 ", "    column orders.extra is extra\n    column orders.note is missing\n", "doctor --fix does it: register version 2\n",
		"4 of 5 tenants examined", "3 findings, of which --fix mends 1\n",
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is not in\n%s", want, r.out)
		}
	}
	if d := l.examined(codeDone, "--migrations", sampleFiles, "--tenants", "acme,globex"); d.Tenants != 2 || d.Examined != 2 {
		t.Errorf("%+v", d)
	}
	if d := l.examined(codePartly, "--tenants", "drifted"); len(d.Findings) != 1 || d.Findings[0].Kind != doctor.Drift {
		t.Errorf("compared with the others: %+v", d)
	}
	if d := l.examined(codePartly, "--fix", "--dry-run", "--tenants", "mistaken"); len(d.Fixes) != 1 || d.Fixes[0].Done || d.Healthy {
		t.Errorf("%+v", d)
	}
	if d := l.examined(codeDone, "--fix", "--yes", "--tenants", "mistaken"); len(d.Fixes) != 1 || !d.Fixes[0].Done || !d.Healthy {
		t.Errorf("%+v", d)
	}
	l.examined(codeDone, "--tenants", "mistaken")
	l.needsPrograms()
	l.do(codeDone, "tenant", "archive", "globex", "--to", t.TempDir(), "--yes")
	if r := l.do(codeDone, "doctor", "--tenants", "globex,acme"); !strings.Contains(r.out, "1 of 2 tenants examined (1 are archived)") {
		t.Error(r.out)
	}
	if n := query[int](l, "SELECT count(*)::int FROM tenancy.events WHERE actor IS DISTINCT FROM 'tester' AND after ? 'version'"); n != 1 { // this test's
		t.Errorf("%d changes of a version are nobody's", n)
	}
}

// TestDoctorPartly: what was not examined is in the report, and is no health.
func TestDoctorPartly(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "acme")
	l.env["SHARD_DSN"] = "postgres://app:" + password + "@127.0.0.1:1/x"
	l.do(codeDone, "shard", "add", "down", "--primary", "env:SHARD_DSN", "--no-check")
	if d := l.examined(codePartly); d.Healthy || len(d.Findings) != 0 || d.Shards[0].Error == "" {
		t.Errorf("%+v", d)
	}
	r := l.do(codePartly, "doctor")
	if !strings.Contains(r.out, "not examined, or not to the end: shard down: ") {
		t.Error(r.out)
	}
	if d := l.examined(codeDone, "--shard", "main"); !d.Healthy || len(d.Shards) != 1 {
		t.Errorf("%+v", d)
	}
}

// TestAllKindsAreTold: people are told of every kind of finding that there is.
func TestAllKindsAreTold(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../doctor/report.go")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, k := range kinds {
		known[string(k.kind)] = true
	}
	all := regexp.MustCompile(`Kind = "([a-z_]+)"`).FindAllStringSubmatch(string(text), -1)
	docs, err := os.ReadFile("../../docs/tenantctl.md")
	if err != nil || len(all) < 10 {
		t.Fatal(err, all)
	}
	for _, k := range all {
		if !known[k[1]] || !strings.Contains(string(docs), "`"+k[1]+"`") {
			t.Errorf("%s is not told of, or not documented", k[1])
		}
	}
}
