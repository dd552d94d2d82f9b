package ctl

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInterruptedMigration: the run begins no further tenant, those that it did are
// done, and the report says so on standard output.
func TestInterruptedMigration(t *testing.T) {
	t.Parallel()
	l := newFleet(t, ids(12)...)
	l.do(codeDone, "migrate", "up", "--dir", sampleFiles, "--target", "1")
	defer l.hold("LOCK TABLE tenant_t05.orders")()
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		l.awaitBlocked()
		interrupt()
	}()
	r := l.runWith(ctx, Env{}, "migrate", "up", "--dir", sampleFiles, "--per-shard", "1", "--lock-timeout", "1m", "-o", "json")
	interrupt()
	var rep report
	if err := json.Unmarshal([]byte(r.out), &rep); err != nil || r.code != Interrupted {
		t.Fatalf("code %d, %v: %s%s", r.code, err, r.out, r.err)
	}
	requireDocuments(t, "migrate up", r)
	done := query[int](l, "SELECT count(*)::int FROM tenancy.tenants WHERE version = 2")
	if rep.Total != 12 || rep.Migrated != done || rep.Unreached != 12-done || done == 0 || done > 11 {
		t.Errorf("%d tenants are migrated, the report says %s", done, r.out)
	}
}

// TestPartlyDone: what could not be migrated is code 5, with a report that tells.
func TestPartlyDone(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "acme", "globex")
	l.do(codeDone, "migrate", "up", "--dir", sampleFiles, "--target", "1")
	l.hold("ALTER TABLE tenant_acme.orders ADD COLUMN note text; COMMIT; BEGIN")()
	for _, format := range []string{formatTable, formatJSON} {
		r := l.do(codePartly, "migrate", "up", "--dir", sampleFiles, "--max-failures", "-1", "-o", format)
		if !strings.Contains(r.out, "acme") || !strings.Contains(r.out, "already exists") {
			t.Errorf("the report says %s", r.out)
		}
		if format == formatJSON {
			requireDocuments(t, "migrate up", r)
		}
	}
	if n := query[int](l, "SELECT version::int FROM tenancy.tenants WHERE id = 'globex'"); n != 2 {
		t.Errorf("globex is at version %d", n)
	}
	// Of a run, the audit names who started it.
	if n := query[int](l, "SELECT count(*)::int FROM tenancy.events WHERE actor IS DISTINCT FROM 'tester'"); n != 0 {
		t.Errorf("%d events are nobody's", n)
	}
}

// TestCreateFileByFile: files that no single transaction can run make a tenant too.
func TestCreateFileByFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"00001_orders.sql": "-- +goose Up\nCREATE TABLE orders (id bigint);\n",
		"00002_index.sql":  "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY orders_id ON orders (id);\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := newFleet(t)
	r := l.do(codeDone, "tenant", "create", "acme", "--migrations", dir)
	if !query[bool](l, "SELECT to_regclass('tenant_acme.orders_id') IS NOT NULL") || !strings.Contains(r.out, "version 2") {
		t.Errorf("no index, or no version: %s", r.out)
	}
	if query[bool](l, "SELECT to_regclass('public.goose_db_version') IS NOT NULL") {
		t.Error("goose's table is in public")
	}
}

func TestActor(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "acme")
	actor := func() string {
		return query[string](l, "SELECT actor FROM tenancy.events ORDER BY id DESC LIMIT 1")
	}
	l.do(codeDone, "tenant", "suspend", "acme", "--actor", "alice")
	if got := actor(); got != "alice" {
		t.Errorf("actor %q", got)
	}
	delete(l.env, envActor)
	l.do(codeDone, "tenant", "resume", "acme")
	if host, _ := os.Hostname(); !strings.HasSuffix(actor(), "@"+host) {
		t.Errorf("actor %q", actor())
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	l := newFleet(t, ids(7)...)
	var got []string
	for args := []string{"tenant", "list", "--limit", "3", "-o", "json"}; ; {
		var page tenantList
		if err := json.Unmarshal([]byte(l.do(codeDone, args...).out), &page); err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Tenants {
			got = append(got, string(v.ID))
		}
		if page.Next == nil {
			break
		}
		args = append(args[:6:6], "--after", string(*page.Next))
	}
	var all tenantList
	if err := json.Unmarshal([]byte(l.do(codeDone, "tenant", "list", "--all", "-o", "json").out), &all); err != nil {
		t.Fatal(err)
	}
	if want := strings.Join(ids(7), " "); strings.Join(got, " ") != want || len(all.Tenants) != 7 || all.Next != nil {
		t.Errorf("pages hold %v, --all %d", got, len(all.Tenants))
	}
	// Exactly as many as fit: no empty page is promised.
	r := l.do(codeDone, "tenant", "list", "--limit", "7", "-o", "json")
	if !strings.Contains(r.out, `"next": null`) {
		t.Error(r.out)
	}
}
