package ctl

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/internal/pgtool"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, goleak.Find)) }

// password is in every DSN of the tests, and in no output.
const password = "s3cr3t-p4ssw0rd"

const sampleFiles = "testdata/migrations"

// lab is a control database, and how commands find it.
type lab struct {
	t   testing.TB
	dsn string
	env map[string]string
	// programs is the folder of pg_dump, for the commands that run it.
	programs string
}

func newDatabase(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(pgtest.Any(t).Database(t))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), password)
	return u.String()
}

// newLab returns a database without a control plane.
func newLab(t testing.TB) *lab {
	t.Helper()
	dsn := newDatabase(t)
	return &lab{t: t, dsn: dsn, env: map[string]string{envDSN: dsn, envActor: "tester"}}
}

// newFleet returns a control plane that is its own shard, main, with tenants.
func newFleet(t testing.TB, tenants ...string) *lab {
	t.Helper()
	l := newLab(t)
	l.do(codeDone, "init", "--shard", "main", "--region", "eu")
	for _, id := range tenants {
		l.do(codeDone, "tenant", "create", id)
	}
	return l
}

// result is what a command left.
type result struct {
	code     int
	out, err string
}

// run executes a command line.
func (l *lab) run(args ...string) result {
	l.t.Helper()
	return l.runWith(l.t.Context(), Env{}, args...)
}

// runWith executes a command line in an Env whose gaps it fills.
func (l *lab) runWith(ctx context.Context, env Env, args ...string) result {
	l.t.Helper()
	var out, errOut bytes.Buffer
	if env.Stdin == nil {
		env.Stdin = strings.NewReader("")
	}
	if env.Stderr == nil {
		env.Stderr = &errOut
	}
	vars := maps.Clone(l.env)
	env.Stdout, env.Getenv = &out, func(name string) string { return vars[name] }
	if cmd, _, err := (&app{}).root().Find(args); err == nil && l.programs != "" && cmd.Flags().Lookup("programs") != nil {
		args = append(slices.Clone(args), "--programs", l.programs)
	}
	r := result{code: Run(ctx, env, args), out: out.String(), err: errOut.String()}
	if strings.Contains(r.out+r.err, password) {
		l.t.Errorf("%v shows a password: %s%s", args, r.out, r.err)
	}
	return r
}

// do executes a command line that must end with a code, and returns its result.
func (l *lab) do(code int, args ...string) result {
	l.t.Helper()
	r := l.run(args...)
	if r.code != code {
		l.t.Fatalf("%v: exit code %d, want %d: %s%s", args, r.code, code, r.out, r.err)
	}
	return r
}

// changing are what differs from run to run, and what stands for it.
var changing = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`), "TIME"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+/test_\d+_\d+`), "HOST/DATABASE"},
	{regexp.MustCompile(`"duration_seconds": [\d.e-]+`), `"duration_seconds": 1.5`},
	{regexp.MustCompile(`(, in )[\d.]+m?s`), "${1}1.5s"},
	{regexp.MustCompile(`(, )[\d.e+]+/s`), "${1}9.9/s"},
	{regexp.MustCompile(`-[A-Z2-7]{26}\.dump`), "-RUN.dump"},
	{regexp.MustCompile(`(dump(?:", "size_bytes": |, |",\n *"size_bytes": ))[\d.]+( kB| bytes)?`), "${1}1.5"},
	{regexp.MustCompile(`(dropping the schema|from \S+), \d+s`), "$1"},
	{regexp.MustCompile(`("(?:sha256|fingerprint|server_version)": ")[^"]+`), "${1}SUM"},
	{regexp.MustCompile(`("server": |(?m:^main   ))1\d`), "${1}15"},
	// Columns are as wide as the DSNs, and the control plane has more versions by and by.
	{regexp.MustCompile(`(PRIMARY|HOST/DATABASE\S*)  +`), "$1  "},
	{regexp.MustCompile(`(control plane .*, version )\d+`), "${1}9"},
	{regexp.MustCompile(`("version_before": )[1-9]\d*`), "${1}9"},
	{regexp.MustCompile(`("version_before": \d+,\n  "version": )\d+`), "${1}9"},
}

func stable(text string) string {
	for _, c := range changing {
		text = c.what.ReplaceAllString(text, c.with)
	}
	return text
}

// golden compares a text with a file, or writes it there.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("GORMTENANCY_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("%s:%d:\n%s\nwant\n%s\n(GORMTENANCY_UPDATE=1 writes the file anew)", path, i+1, g[i], w[i])
		}
	}
	t.Fatalf("%s: %d lines, want %d", path, len(g), len(w))
}

// query asks the control database for one value.
func query[T any](l *lab, sql string, args ...any) T {
	l.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, l.dsn)
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close(ctx)
	var v T
	if err := conn.QueryRow(ctx, sql, args...).Scan(&v); err != nil {
		l.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// hold executes statements in a transaction that stays open until release.
func (l *lab) hold(sql string) (release func()) {
	l.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, l.dsn)
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := conn.PgConn().Exec(ctx, "BEGIN; "+sql).ReadAll(); err != nil {
		l.t.Fatal(err)
	}
	return func() { conn.Close(ctx) }
}

// needsPrograms puts pg_dump and pg_restore into the commands' reach, or skips the test.
func (l *lab) needsPrograms() {
	l.t.Helper()
	if l.programs = programsFor(l.t); l.programs == "" {
		l.t.Skip("no pg_dump as new as the server: install its client programs")
	}
}

// programsFor returns the folder of programs that are new enough for the server that
// tests use, or nothing.
func programsFor(t testing.TB) string {
	version := pgtest.Any(t).Version
	var dirs []string
	if found, err := pgcluster.Find(t.Context(), pgcluster.FindOptions{Version: version, NoFetch: true}); err == nil {
		dirs = append(dirs, found.Dir)
	}
	if path, err := exec.LookPath("pg_dump"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	server, err := strconv.Atoi(version)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if _, err := pgtool.Find(t.Context(), dir, "pg_dump", server); err == nil {
			return dir
		}
	}
	return ""
}

// dropsRoles drops, at the test's end, the database roles that its control plane made.
func (l *lab) dropsRoles() {
	l.t.Cleanup(func() {
		for _, name := range query[[]string](l, `SELECT coalesce(array_agg(name), '{}') FROM
			(SELECT name FROM tenancy.roles UNION ALL SELECT name FROM tenancy.logins) n (name) WHERE name IN (SELECT rolname FROM pg_roles)`) {
			l.hold(fmt.Sprintf("DROP OWNED BY %s; DROP ROLE %[1]s; COMMIT; BEGIN", tenant.QuoteIdent(name)))()
		}
	})
}

// awaitBlocked waits until a session waits for another's lock.
func (l *lab) awaitBlocked() {
	l.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); ; <-tick.C {
		const sql = "SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
		if query[int](l, sql) > 0 {
			return
		}
		if time.Now().After(end) {
			l.t.Fatal("nobody waits for a lock within 20 s")
		}
	}
}

func ids(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("t%02d", i)
	}
	return all
}
