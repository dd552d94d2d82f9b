package ctl

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestRoles: tenants that are created, copied, adopted or restored have a role when
// that was said, and roles gives one to all others.
func TestRoles(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "plain", "other")
	l.dropsRoles()
	l.needsPrograms()
	dir := t.TempDir()
	role := func(id string) string { return query[string](l, "SELECT role FROM tenancy.tenants WHERE id = $1", id) }
	l.do(codeDone, "tenant", "create", "strict", "--role")
	l.hold("CREATE SCHEMA old; COMMIT; BEGIN")()
	l.do(codeDone, "tenant", "adopt", "old", "--schema", "old", "--role")
	l.do(codeDone, "tenant", "copy", "strict", "strict-copy")
	l.do(codeDone, "tenant", "copy", "plain", "plain-copy")
	l.do(codeDone, "tenant", "archive", "plain", "--to", dir, "--yes")
	l.do(codeDone, "tenant", "restore", "plain", "--from", dir, "--role")
	for id, want := range map[string]bool{"strict": true, "old": true, "strict-copy": true, "plain": true, "plain-copy": false, "other": false} {
		if got := role(id); (got != "") != want {
			t.Errorf("%s has role %q", id, got)
		}
	}
	if r := l.do(codeDone, "tenant", "get", "strict"); !strings.Contains(r.out, role("strict")) {
		t.Error(r.out)
	}
	count := func(want rolesReport, args ...string) {
		t.Helper()
		var rep rolesReport
		r := l.do(codeDone, append(args, "-o", "json")...)
		if err := json.Unmarshal([]byte(r.out), &rep); err != nil || rep.Total != want.Total || rep.Given != want.Given || rep.Mended != want.Mended || rep.DryRun != want.DryRun {
			t.Errorf("%v: %s, want %+v", args, r.out, want)
		}
	}
	count(rolesReport{Total: 2, Given: 2, DryRun: true}, "tenant", "roles", "--dry-run")
	count(rolesReport{Total: 1, Given: 1}, "tenant", "roles", "other")
	l.hold("REVOKE ALL ON SCHEMA tenant_strict FROM " + role("strict") + "; COMMIT; BEGIN")()
	count(rolesReport{Total: 1, Given: 1}, "tenant", "roles")
	can := "SELECT has_schema_privilege(role, 'tenant_strict', 'USAGE') FROM tenancy.tenants WHERE id = 'strict'"
	if query[bool](l, can) {
		t.Error("nothing was lost")
	}
	count(rolesReport{Total: 6, Mended: 6}, "tenant", "roles", "--mend")
	if !query[bool](l, can) {
		t.Error("the grant was not put back")
	}
}

// TestRolesPartly: a tenant that can have no role is in the report, and the others have
// one.
func TestRolesPartly(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "acme", "broken")
	l.dropsRoles()
	l.hold("DROP SCHEMA tenant_broken; COMMIT; BEGIN")()
	r := l.do(codePartly, "tenant", "roles", "-o", "json")
	requireDocuments(t, "tenant roles", r)
	var rep rolesReport
	if err := json.Unmarshal([]byte(r.out), &rep); err != nil || rep.Given != 1 || rep.Failed != 1 || rep.Failures[0].Tenant != "broken" {
		t.Error(r.out, err)
	}
}

// TestNothingIsDeletedByTheWay: a tenant that is due goes by the application's hand.
func TestNothingIsDeletedByTheWay(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "acme")
	l.do(codeDone, "tenant", "delete", "acme", "--after", "0s", "--yes")
	l.do(codeDone, "tenant", "create", "another", "--migrations", sampleFiles)
	if r := l.do(codeDone, "tenant", "list", "--deleting"); !strings.Contains(r.out, "acme") {
		t.Errorf("it is gone: %s", r.out)
	}
	l.do(codeDone, "tenant", "undelete", "acme")
}
