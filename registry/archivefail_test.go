package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// crooked makes a directory of programs of which one is a script. In it, REAL is the
// program.
func crooked(t testing.TB, name, script string) string {
	t.Helper()
	real, dir := programs(t), t.TempDir()
	for _, p := range []string{"pg_dump", "pg_restore"} {
		text := "exec REAL \"$@\"\n"
		if p == name {
			text = "case \"$1\" in --version) exec REAL \"$@\";; esac\n" + script
		}
		text = "#!/bin/sh\n" + strings.ReplaceAll(text, "REAL", filepath.Join(real, p))
		if err := os.WriteFile(filepath.Join(dir, p), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestArchiveFails: whatever goes wrong, the tenant serves as before and no file is
// left.
func TestArchiveFails(t *testing.T) {
	t.Parallel()
	r := openArchives(t, Config{}, "acme")
	data, dir := contents(t, r.cfg.DSN, "tenant_acme"), t.TempDir()
	keep := func(context.Context, string) error { return nil }
	for what, c := range map[string]struct {
		programs string
		keep     func(context.Context, string) error
		want     error
		text     string
	}{
		"missing":      {t.TempDir(), keep, ErrPrograms, "pg_dump"},
		"too old":      {crooked(t, "none", ""), keep, nil, ""},
		"disk full":    {crooked(t, "pg_dump", `exec REAL "$@" >/dev/full`), keep, nil, "No space left"},
		"file too big": {crooked(t, "pg_dump", `ulimit -f 8; exec REAL "$@"`), keep, nil, "file size limit"},
		"cut off":      {crooked(t, "pg_dump", `REAL "$@" | head -c 9000`), keep, nil, "pg_restore"},
		"empty":        {crooked(t, "pg_dump", `exit 0`), keep, nil, "pg_restore"},
		"rows missing": {crooked(t, "pg_dump", `exec REAL --exclude-table-data=tenant_acme.items "$@"`), keep, ErrDamaged, "of 6 tables"},
		"dies":         {crooked(t, "pg_dump", `kill -9 $$`), keep, nil, "killed"},
		"wrong login":  {crooked(t, "pg_dump", `PGUSER=nobody exec REAL "$@"`), keep, nil, "nobody"},
		"check dies":   {crooked(t, "pg_restore", `exit 3`), keep, nil, "exit status 3"},
		"not kept":     {programs(t), func(context.Context, string) error { return os.ErrDeadlineExceeded }, os.ErrDeadlineExceeded, "keep"},
		"resumed":      {programs(t), func(ctx context.Context, _ string) error { return r.Resume(ctx, "acme") }, ErrState, "resumed"},
		"not writable": {programs(t), keep, nil, ""},
	} {
		r.cfg.Programs = c.programs
		to := dir
		switch what {
		case "too old":
			text := "#!/bin/sh\necho 'pg_dump (PostgreSQL) 14.1'\n"
			if err := os.WriteFile(filepath.Join(c.programs, "pg_dump"), []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
			c.want, c.text = ErrPrograms, "of PostgreSQL 14, the server is"
		case "not writable":
			to = "/proc/self"
		}
		_, err := r.Archive(t.Context(), "acme", ArchiveOptions{Dir: to, Keep: c.keep})
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", what, err)
		}
		if s := state(t, r, "acme"); s != tenant.StateActive {
			t.Errorf("%s: it is %s", what, s)
		}
		if left := must(os.ReadDir(dir))(t); len(left) != 0 && what != "resumed" {
			t.Errorf("%s: left %v", what, left)
		}
		for _, f := range must(os.ReadDir(dir))(t) {
			_ = os.Remove(filepath.Join(dir, f.Name()))
		}
	}
	if now := contents(t, r.cfg.DSN, "tenant_acme"); now != data {
		t.Error("its data has changed")
	}
}

// TestRestoreFails: the tenant stays archived, nothing is left of the attempt, and the
// next one succeeds.
func TestRestoreFails(t *testing.T) {
	t.Parallel()
	r := openArchives(t, Config{}, "acme")
	run(t, r.cfg.DSN, "CREATE FUNCTION public.now2() RETURNS int LANGUAGE sql RETURN 1; CREATE TABLE tenant_acme.z (n int DEFAULT public.now2())")
	data := contents(t, r.cfg.DSN, "tenant_acme")
	file := exported(t, r, "acme")
	whole := must(os.ReadFile(file))(t)
	changed := append([]byte{}, whole...)
	changed[len(changed)/2] ^= 1
	good := r.cfg.Programs
	sql := func(text string) func() { return func() { run(t, r.cfg.DSN, text) } }
	for what, c := range map[string]struct {
		file     []byte
		do, undo func()
		want     error
		text     string
	}{
		"a byte":     {changed, nil, nil, ErrDamaged, "SHA-256"},
		"cut off":    {whole[:len(whole)-1], nil, nil, ErrDamaged, "bytes"},
		"no file":    {nil, nil, nil, os.ErrNotExist, ""},
		"refers":     {whole, sql("DROP FUNCTION now2() CASCADE"), sql("CREATE FUNCTION public.now2() RETURNS int LANGUAGE sql RETURN 1"), nil, "now2"},
		"other rows": {whole, sql("UPDATE tenancy.tenants SET archive = jsonb_set(archive, '{tables,lines,rows}', '11')"), sql("UPDATE tenancy.tenants SET archive = jsonb_set(archive, '{tables,lines,rows}', '10')"), ErrDamaged, `"lines" has 10 rows, not 11`},
		"no program": {whole, func() { r.cfg.Programs = t.TempDir() }, nil, ErrPrograms, "pg_dump"},
		"dies":       {whole, func() { r.cfg.Programs = crooked(t, "pg_restore", `REAL "$@" & sleep 0.05; kill -9 $$`) }, nil, nil, "killed"},
		"taken":      {whole, sql("CREATE SCHEMA tenant_acme"), sql("DROP SCHEMA tenant_acme"), ErrSchemaExists, ""},
	} {
		path := filepath.Join(t.TempDir(), "file")
		if c.file != nil {
			if err := os.WriteFile(path, c.file, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if c.do != nil {
			c.do()
		}
		_, err := r.Restore(t.Context(), "acme", path, RestoreOptions{})
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", what, err)
		}
		if c.undo != nil {
			c.undo()
		}
		r.cfg.Programs = good
		if schemaExists(t, r.cfg.DSN, "tenant_acme") || state(t, r, "acme") != tenant.StateArchived {
			t.Errorf("%s: it is %s", what, state(t, r, "acme"))
		}
		must(r.Archived(t.Context(), "acme"))(t)
	}
	must(r.Restore(t.Context(), "acme", file, RestoreOptions{}))(t)
	if now := contents(t, r.cfg.DSN, "tenant_acme"); now != data {
		t.Error("its data has changed")
	}
}

// TestArchiveWithPassword: on a server that asks for one.
func TestArchiveWithPassword(t *testing.T) {
	t.Parallel()
	bin := programs(t)
	hba := filepath.Join(must(os.MkdirTemp("", "hba"))(t), "hba.conf")
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(hba)) })
	text := "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
	if err := errors.Join(os.WriteFile(hba, []byte(text), 0o644), os.Chmod(filepath.Dir(hba), 0o755)); err != nil {
		t.Fatal(err)
	}
	found := must(pgcluster.Find(t.Context(), pgcluster.FindOptions{Version: "15"}))(t)
	c := must(pgcluster.Start(t.Context(), pgcluster.Config{Binaries: found, Params: map[string]string{"hba_file": hba}}))(t)
	t.Cleanup(func() { _ = c.Stop(context.Background()) })
	run(t, c.Control.DSN, fmt.Sprintf("CREATE ROLE app LOGIN PASSWORD '%s'; GRANT CREATE ON DATABASE control TO app", password))
	u := must(url.Parse(c.Control.DSN))(t)
	u.User = url.UserPassword("app", password)
	r := open(t, Config{DSN: u.String(), HomeShard: "default", Programs: bin})
	create(t, r, "acme")
	run(t, u.String(), "CREATE TABLE tenant_acme.a (n int); INSERT INTO tenant_acme.a VALUES (1)")
	seen := filepath.Join(t.TempDir(), "seen")
	r.cfg.Programs = crooked(t, "pg_dump", `tr '\0' ' ' </proc/$$/cmdline >`+seen+`; exec REAL "$@"`)
	file := exported(t, r, "acme")
	if line := string(must(os.ReadFile(seen))(t)); strings.Contains(line, password) || !strings.Contains(line, "--schema") {
		t.Errorf("the command line is %s", line)
	}
	for name, script := range map[string]string{"wrong": `PGPASSWORD=wrong exec REAL "$@"`, "none": `unset PGPASSWORD; exec REAL "$@"`} {
		r.cfg.Programs = crooked(t, "pg_restore", script)
		_, err := r.Restore(t.Context(), "acme", file, RestoreOptions{})
		if err == nil || !strings.Contains(err.Error(), "password") || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.cfg.Programs = bin
	must(r.Restore(t.Context(), "acme", file, RestoreOptions{}))(t)
}

// TestArchiveCancelledAnywhere: wherever its context ends, Archive leaves a tenant that
// serves, or one that is archived; Restore one that is archived, or serves; and both
// are finished when they are said again.
func TestArchiveCancelledAnywhere(t *testing.T) {
	t.Parallel()
	cc := must(pgx.ParseConfig(newDatabase(t)))(t)
	cc.Tracer = interrupter{}
	r := open(t, Config{ConnConfig: cc, HomeShard: "default", Programs: programs(t)})
	dsn, dir := cc.ConnString(), t.TempDir()
	create(t, r, "acme")
	run(t, dsn, "CREATE TABLE tenant_acme.a (n int); INSERT INTO tenant_acme.a VALUES (5)")
	try := func(step int, do func(ctx context.Context) error) (reached bool, err error) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		i := &interrupt{cancel: cancel, left: step / 2, atEnd: step%2 == 1}
		err = do(context.WithValue(ctx, interruptKey{}, i))
		return ctx.Err() != nil, err
	}
	var file string
	archive := func(ctx context.Context) error {
		a, err := r.Archive(ctx, "acme", ArchiveOptions{Dir: dir})
		file = filepath.Join(dir, a.File)
		return err
	}
	restore := func(ctx context.Context) error { return errorOf(r.Restore(ctx, "acme", file, RestoreOptions{})) }
	cancelled := 0
	for step, more := 2, true; more; step += 1 + rand.IntN(6) {
		more = false
		for what, do := range map[tenant.State]func(context.Context) error{tenant.StateArchived: archive, tenant.StateActive: restore} {
			if (state(t, r, "acme") == tenant.StateArchived) == (what == tenant.StateArchived) {
				continue
			}
			reached, err := try(step, do)
			more = more || reached
			s := state(t, r, "acme")
			if err != nil {
				cancelled++
				if s != tenant.StateActive && s != tenant.StateArchived || !reached {
					t.Fatalf("step %d: it is %s: %v", step, s, err)
				}
			}
			if s == tenant.StateArchived {
				must(r.Archived(t.Context(), "acme"))(t)
			}
			if err := do(t.Context()); err != nil && (what != tenant.StateActive || !errors.Is(err, ErrNoArchive)) {
				t.Fatalf("step %d, again: %v", step, err)
			}
			if got := state(t, r, "acme"); got != what {
				t.Fatalf("step %d: it is %s, want %s", step, got, what)
			}
		}
	}
	if state(t, r, "acme") == tenant.StateArchived {
		must(r.Restore(t.Context(), "acme", file, RestoreOptions{}))(t)
	}
	t.Logf("cancelled at %d places", cancelled)
	if n := query[int](t, dsn, "SELECT n FROM tenant_acme.a"); n != 5 || cancelled < 4 {
		t.Errorf("%d, cancelled at %d places", n, cancelled)
	}
	if n := query[int](t, dsn, "SELECT count(*)::int FROM pg_namespace WHERE nspname LIKE 'archived%'"); n != 0 {
		t.Errorf("%d schemas are left", n)
	}
}
