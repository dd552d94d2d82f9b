package registry

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// programs is a directory with pg_dump and pg_restore of the oldest server.
func programs(t testing.TB) string {
	t.Helper()
	if bin, err := pgcluster.Find(t.Context(), pgcluster.FindOptions{Version: "15"}); err == nil {
		if _, err := os.Stat(filepath.Join(bin.Dir, "pg_dump")); err == nil {
			return bin.Dir
		}
	}
	path, err := exec.LookPath("pg_dump")
	if err != nil {
		t.Skip("no pg_dump: install PostgreSQL's client programs")
	}
	return filepath.Dir(path)
}

// openArchives opens a registry that can archive, with tenants that have things in
// their schemas that are not simple.
func openArchives(t testing.TB, cfg Config, ids ...tenant.ID) *Registry {
	t.Helper()
	if cfg.DSN == "" {
		cfg.DSN = newDatabase(t)
	}
	cfg.HomeShard, cfg.Programs = "default", programs(t)
	r := open(t, cfg)
	for _, id := range ids {
		create(t, r, id)
		run(t, cfg.DSN, strings.ReplaceAll(furniture, "SCHEMA", "tenant_"+string(id)))
	}
	return r
}

const furniture = `SET search_path = SCHEMA; SET timezone = 'Asia/Tokyo';
	CREATE TYPE mood AS ENUM ('good', 'bad');
	CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE RETURN 2 * n;
	CREATE TABLE items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, m mood DEFAULT 'good',
		at timestamptz DEFAULT '2020-02-02 12:00', f float8 DEFAULT 0.1, n int, d int GENERATED ALWAYS AS (twice(n)) STORED, raw bytea);
	COMMENT ON TABLE items IS 'what there is';
	CREATE TABLE lines (item bigint REFERENCES items, t items, CHECK (item > 0));
	CREATE TABLE parts (k int, v text) PARTITION BY LIST (k); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
	CREATE TABLE base (b int); CREATE TABLE derived (a int) INHERITS (base); ALTER TABLE base ADD COLUMN aa int;
	CREATE TABLE "od""d
name" (); INSERT INTO "od""d
name" DEFAULT VALUES; CREATE TABLE nothing (n int);
	INSERT INTO items (name, n, raw) SELECT E'a\t\\.\n' || i, i, '\x0001'::bytea FROM generate_series(1, 300) i;
	INSERT INTO items (name) VALUES (E'\\.'), ('COPY x FROM stdin;'), (repeat('long ', 10000));
	INSERT INTO lines SELECT id, items FROM items LIMIT 10; INSERT INTO parts VALUES (1, 'x'); INSERT INTO derived VALUES (1, 2, 3);
	CREATE VIEW names AS SELECT name FROM items; CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM items;
	CREATE SEQUENCE alone START 17; SELECT nextval('alone');`

// contents is a tenant's data as this test sees it.
func contents(t testing.TB, dsn, schema string) string {
	t.Helper()
	q := tenant.QuoteIdent(schema)
	return query[string](t, dsn, strings.ReplaceAll(`SELECT concat_ws(' | ', (SELECT string_agg(i::text, ',' ORDER BY id) FROM SCHEMA.items i),
		(SELECT count(*) FROM SCHEMA.lines), (SELECT string_agg(p::text, ',') FROM SCHEMA.parts p), (SELECT string_agg(concat(a, b, aa), ',') FROM SCHEMA.derived),
		(SELECT count FROM SCHEMA.counted), (SELECT last_value FROM SCHEMA.alone), obj_description('SCHEMA.items'::regclass))`, "SCHEMA", q))
}

func exported(t testing.TB, r *Registry, id tenant.ID) (file string) {
	t.Helper()
	dir := t.TempDir()
	a := must(r.Archive(t.Context(), id, ArchiveOptions{Dir: dir}))(t)
	return filepath.Join(dir, a.File)
}

func TestArchiveAndRestore(t *testing.T) {
	t.Parallel()
	r := openArchives(t, Config{}, "acme", "paused")
	ctx := WithActor(t.Context(), "alice")
	if err := errors.Join(r.AddName(ctx, "acme", Host("acme.example")), r.SetAttributes(ctx, "acme", `{"a": 1}`), r.Suspend(ctx, "paused")); err != nil {
		t.Fatal(err)
	}
	other := open(t, Config{DSN: r.cfg.DSN})
	must(other.Lookup(ctx, "acme"))(t)
	heard := func(want tenant.State) {
		eventually(t, "the other process to hear of it", func() bool { return state(t, other, "acme") == want })
	}
	before, data := must(r.Get(ctx, "acme"))(t), contents(t, r.cfg.DSN, "tenant_acme")
	dir := t.TempDir()
	var kept string
	a := must(r.Archive(ctx, "acme", ArchiveOptions{Dir: dir, Keep: func(_ context.Context, file string) error {
		kept = file
		if state(t, r, "acme") != tenant.StateSuspended || !schemaExists(t, r.cfg.DSN, "tenant_acme") {
			t.Error("gone before it was kept")
		}
		return nil
	}}))(t)
	file := filepath.Join(dir, a.File)
	if info := must(os.Stat(file))(t); kept != file || info.Size() != a.Size || len(a.SHA256) != 64 || a.Tables["items"].Rows != 303 || len(a.Tables) != 7 {
		t.Errorf("kept %s: %+v", kept, a)
	}
	if n := query[int](t, r.cfg.DSN, "SELECT count(*)::int FROM pg_namespace WHERE nspname = 'tenant_acme' OR nspname LIKE 'archived%'"); n != 0 {
		t.Errorf("%d schemas are left", n)
	}
	if got := must(r.Lookup(ctx, "acme"))(t); got.State != tenant.StateArchived {
		t.Errorf("state %s", got.State)
	}
	heard(tenant.StateArchived)
	if got := must(r.Archived(ctx, "acme"))(t); got.SHA256 != a.SHA256 || got.At != a.At {
		t.Errorf("%+v", got)
	}
	if again := must(r.Archive(ctx, "acme", ArchiveOptions{Dir: dir}))(t); again.SHA256 != a.SHA256 {
		t.Errorf("again: %+v", again)
	}
	if page := must(r.List(ctx, Filter{Restorable: true}))(t); len(page) != 1 || page[0].ID != "acme" {
		t.Errorf("restorable: %v", page)
	}
	var told tenant.ID
	defer r.OnSchemaChange(func(_ context.Context, t tenant.Tenant) { told = t.ID })()
	after := must(r.Restore(ctx, "acme", file, RestoreOptions{}))(t)
	if after.State != tenant.StateActive || after.Placement.Epoch != before.Placement.Epoch+1 || after.Attributes != before.Attributes || told != "acme" {
		t.Errorf("restored %+v, told of %q", after, told)
	}
	heard(tenant.StateActive)
	if now := contents(t, r.cfg.DSN, "tenant_acme"); now != data {
		t.Errorf("was\n%.2000s\nis\n%.2000s", data, now)
	}
	if got := must(r.LookupName(ctx, Host("acme.example")))(t); got.State != tenant.StateActive {
		t.Errorf("%+v", got)
	}
	run(t, r.cfg.DSN, "INSERT INTO tenant_acme.items (name) VALUES ('the next one')")
	if _, err := r.Archived(ctx, "acme"); !errors.Is(err, ErrNoArchive) {
		t.Errorf("got %v", err)
	}
	if err := r.Delete(ctx, "acme"); err != nil || schemaExists(t, r.cfg.DSN, "tenant_acme") {
		t.Errorf("deleted: %v", err)
	}
	file = exported(t, r, "paused")
	if got := must(r.Restore(ctx, "paused", file, RestoreOptions{}))(t); got.State != tenant.StateSuspended {
		t.Errorf("%+v", got)
	}
}

// An adopted schema has no mark: once it was archived and came back it has.
func TestArchiveAdopted(t *testing.T) {
	t.Parallel()
	r := openArchives(t, Config{})
	run(t, r.cfg.DSN, `CREATE SCHEMA "Old $1"; CREATE TABLE "Old $1".a (n int); INSERT INTO "Old $1".a VALUES (1)`)
	must(r.Adopt(t.Context(), tenant.Spec{ID: "old", Schema: "Old $1"}))(t)
	file := exported(t, r, "old")
	// Somebody else's schema in its place is nobody's to drop.
	run(t, r.cfg.DSN, `CREATE SCHEMA "Old $1"`)
	if _, err := r.Restore(t.Context(), "old", file, RestoreOptions{}); !errors.Is(err, ErrSchemaExists) {
		t.Errorf("got %v", err)
	}
	if !schemaExists(t, r.cfg.DSN, "Old $1") || state(t, r, "old") != tenant.StateArchived {
		t.Error("another's schema was dropped")
	}
	run(t, r.cfg.DSN, `DROP SCHEMA "Old $1"`)
	must(r.Restore(t.Context(), "old", file, RestoreOptions{}))(t)
	if n := query[int](t, r.cfg.DSN, `SELECT n FROM "Old $1".a`); n != 1 {
		t.Error(n)
	}
	exported(t, r, "old")
	if err := r.Delete(t.Context(), "old"); err != nil || query[int](t, r.cfg.DSN, "SELECT count(*)::int FROM tenancy.tenants") != 0 {
		t.Errorf("deleted: %v", err)
	}
}

func TestArchiveRefuses(t *testing.T) {
	t.Parallel()
	r := openArchives(t, Config{}, "acme")
	dir := t.TempDir()
	for what, sql := range map[string][2]string{
		"foreign key out":  {"CREATE TABLE public.plans (id int PRIMARY KEY); CREATE TABLE tenant_acme.x (p int REFERENCES plans)", "DROP TABLE tenant_acme.x, plans"},
		"foreign key in":   {"CREATE TABLE public.logs (i bigint REFERENCES tenant_acme.items)", "DROP TABLE logs"},
		"view of another":  {"CREATE VIEW public.v AS SELECT * FROM tenant_acme.items", "DROP VIEW v"},
		"inherits":         {"CREATE TABLE public.p (n int); CREATE TABLE tenant_acme.x () INHERITS (p)", "DROP TABLE tenant_acme.x, p"},
		"is inherited":     {"CREATE TABLE public.p () INHERITS (tenant_acme.base)", "DROP TABLE p"},
		"extension inside": {"CREATE EXTENSION pg_trgm SCHEMA tenant_acme", "DROP EXTENSION pg_trgm"},
	} {
		if what == "extension inside" && query[int](t, r.cfg.DSN, "SELECT count(*)::int FROM pg_available_extensions WHERE name = 'pg_trgm'") == 0 {
			continue
		}
		run(t, r.cfg.DSN, sql[0])
		if _, err := r.Archive(t.Context(), "acme", ArchiveOptions{Dir: dir}); !errors.Is(err, ErrEntangled) {
			t.Errorf("%s: %v", what, err)
		}
		run(t, r.cfg.DSN, sql[1])
	}
	for what, o := range map[string]ArchiveOptions{"no directory": {}, "a missing one": {Dir: filepath.Join(dir, "x")}} {
		if _, err := r.Archive(t.Context(), "acme", o); err == nil {
			t.Errorf("%s: was taken", what)
		}
	}
	if _, err := r.Archive(t.Context(), "nobody", ArchiveOptions{Dir: dir}); !errors.Is(err, tenant.ErrUnknown) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := r.Restore(t.Context(), "acme", "x", RestoreOptions{}); !errors.Is(err, ErrNoArchive) {
		t.Errorf("not archived: %v", err)
	}
	run(t, r.cfg.DSN, "UPDATE tenancy.tenants SET state = 'archived'")
	if _, err := r.Restore(t.Context(), "acme", "x", RestoreOptions{}); !errors.Is(err, ErrNoArchive) {
		t.Errorf("a Delete that did not finish: %v", err)
	}
	if _, err := r.Archive(t.Context(), "acme", ArchiveOptions{Dir: dir}); !errors.Is(err, ErrState) {
		t.Errorf("a Delete that did not finish: %v", err)
	}
	if left := must(os.ReadDir(dir))(t); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// TestArchiveElsewhere: a tenant comes back on another shard when its own is lost, and
// nobody else gets its old place.
func TestArchiveElsewhere(t *testing.T) {
	t.Parallel()
	r := open(t, Config{DSN: newDatabase(t), Programs: programs(t)})
	p := newProxy(t)
	one, two := newDatabase(t), newDatabase(t)
	addShards(t, r, map[string]string{"eu-1": p.dsn(one), "eu-2": two})
	must(r.Create(t.Context(), tenant.Spec{ID: "acme", Shard: "eu-1"}))(t)
	run(t, one, "CREATE TABLE tenant_acme.a (n int); INSERT INTO tenant_acme.a VALUES (7)")
	file := exported(t, r, "acme")
	p.cut()
	if _, err := r.Restore(t.Context(), "acme", file, RestoreOptions{}); err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("its shard is down: %v", err)
	}
	got := must(r.Restore(t.Context(), "acme", file, RestoreOptions{Shard: "eu-2"}))(t)
	if got.Placement.Shard != "eu-2" || query[int](t, two, "SELECT n FROM tenant_acme.a") != 7 {
		t.Errorf("%+v", got)
	}
	p.restore(t)
	if _, err := r.Create(t.Context(), tenant.Spec{ID: "thief", Schema: "tenant_acme", Shard: "eu-1"}); !errors.Is(err, tenant.ErrExists) {
		t.Errorf("another got its old place: %v", err)
	}
	file = exported(t, r, "acme")
	if _, err := r.Restore(t.Context(), "acme", file, RestoreOptions{Shard: "nowhere"}); !errors.Is(err, tenant.ErrUnknownShard) {
		t.Errorf("nowhere: %v", err)
	}
	must(r.Restore(t.Context(), "acme", file, RestoreOptions{Shard: "eu-1"}))(t)
}

// TestArchiveOfWhatChanges: who writes while it is archived, because he has not heard
// of it, loses nothing.
func TestArchiveOfWhatChanges(t *testing.T) {
	t.Parallel()
	r := openArchives(t, Config{}, "acme")
	dir := t.TempDir()
	_, err := r.Archive(t.Context(), "acme", ArchiveOptions{Dir: dir, Keep: func(context.Context, string) error {
		run(t, r.cfg.DSN, "INSERT INTO tenant_acme.nothing VALUES (1)")
		return nil
	}})
	if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), `"nothing" has 1 rows, not 0`) || state(t, r, "acme") != tenant.StateActive {
		t.Errorf("%s, %v", state(t, r, "acme"), err)
	}
	// One who wrote before and has not committed yet is waited for.
	conn := must(pgx.Connect(t.Context(), r.cfg.DSN))(t)
	defer conn.Close(context.Background())
	tx := must(conn.Begin(t.Context()))(t)
	if _, err := tx.Exec(t.Context(), "INSERT INTO tenant_acme.nothing VALUES (2)"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { _, err := r.Archive(t.Context(), "acme", ArchiveOptions{Dir: dir}); done <- err }()
	eventually(t, "the export to wait", func() bool {
		return query[bool](t, r.cfg.DSN, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')")
	})
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if a := must(r.Archived(t.Context(), "acme"))(t); a.Tables["nothing"].Rows != 2 {
		t.Errorf("%+v", a.Tables)
	}
	if _, err := conn.Exec(t.Context(), "INSERT INTO tenant_acme.nothing VALUES (3)"); sqlState(err) != "42P01" && sqlState(err) != "3F000" {
		t.Errorf("got %v", err)
	}
}
