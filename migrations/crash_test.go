package migrations_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// childEnv makes this program a runner on the control database that it names.
const childEnv = "GORMTENANCY_TEST_RUNNER"

// killedFiles change a schema in a way that tells which of them are in.
func killedFiles() (*migrations.Set, error) {
	return migrations.Load(files(
		"-- +goose Up\nCREATE TABLE a (n int PRIMARY KEY);\nINSERT INTO a VALUES (1);\nCREATE INDEX ON a (n);",
		"-- +goose Up\nALTER TABLE a ADD COLUMN m int;\nCREATE TABLE b (n int REFERENCES a);\nINSERT INTO a VALUES (2);",
		"-- +goose Up\nINSERT INTO a VALUES (3);",
	), goose.NewGoMigration(4, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO a VALUES (4)")
		return err
	}}, nil))
}

// child runs the migrations and tells of each tenant.
func child(control string) error {
	ctx := context.Background()
	reg, err := registry.Open(ctx, registry.Config{DSN: control})
	if err != nil {
		return err
	}
	defer reg.Close()
	set, err := killedFiles()
	if err != nil {
		return err
	}
	_, err = migrations.Run(ctx, reg, set, migrations.Options{PerShard: 3, Observe: func(p migrations.Progress) {
		fmt.Println(p.Outcome, p.Tenant)
	}})
	return err
}

// TestKilled: runners are killed at 20 random moments. Whatever they said was done is
// done, no tenant is in between, and the last run, which nobody kills, finds the rest.
func TestKilled(t *testing.T) {
	t.Parallel()
	const tenants, kills = 150, 20
	l := newLab(t, pgtest.Any(t), 2, tenants)
	said := map[tenant.ID]bool{}
	for range kills {
		l.killedRunner(1+rand.IntN(40), said)
		l.inFull(said)
	}
	set, err := killedFiles()
	rep, err := l.run(must(set, err)(t), migrations.Options{})
	if err != nil || rep.Done() != rep.Total {
		t.Fatalf("the last run: %v, %v", rep, err)
	}
	t.Logf("%d killed runners told of %d tenants; the last: %v", kills, len(said), rep)
	for i := range tenants {
		said[id(i)] = true
		l.expect(i, 4)
	}
	l.inFull(said)
}

// killedRunner runs a runner until it has told of n tenants, and kills it. It adds
// whom it told of to said.
func (l *lab) killedRunner(n int, said map[tenant.ID]bool) {
	l.t.Helper()
	cmd := exec.CommandContext(l.t.Context(), must(os.Executable())(l.t))
	cmd.Env = append(os.Environ(), childEnv+"="+l.control)
	cmd.Stderr = os.Stderr
	out := must(cmd.StdoutPipe())(l.t)
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for i := 0; lines.Scan(); i++ {
		outcome, who, _ := strings.Cut(lines.Text(), " ")
		if outcome != string(migrations.Migrated) && outcome != string(migrations.Corrected) {
			l.t.Errorf("the runner said %s", lines.Text())
		}
		said[tenant.ID(who)] = true
		if i+1 == n {
			time.Sleep(rand.N(5 * time.Millisecond)) // any moment is a good one
			_ = cmd.Process.Kill()                   // it may be through
		}
	}
	_ = cmd.Wait() // it was killed
}

// whole are the ways in which a tenant may stand: version and rows. The first three
// files are one transaction.
var whole = map[string]bool{"0": true, "3: 1 2 3, 0": true, "4: 1 2 3 4, 0": true}

// inFull checks that every tenant stands at a version in full, and at the last one if
// somebody said so.
func (l *lab) inFull(said map[tenant.ID]bool) {
	l.t.Helper()
	for s, dsn := range l.shards {
		conn := must(pgx.Connect(l.t.Context(), dsn))(l.t)
		for i := s; i < l.tenants; i += len(l.shards) {
			got := standing(l.t, conn, "tenant_"+string(id(i)))
			if !whole[got] || said[id(i)] && got[0] != '4' {
				l.t.Errorf("tenant %s stands at %s (said to be through: %t)", id(i), got, said[id(i)])
			}
		}
		_ = conn.Close(l.t.Context())
	}
}

// standing reads a tenant's version and rows in one snapshot.
func standing(t testing.TB, conn *pgx.Conn, schema string) (got string) {
	t.Helper()
	err := conn.QueryRow(t.Context(), fmt.Sprintf(`SELECT (SELECT max(version_id) FROM %[1]s.goose_db_version) || ': ' ||
		(SELECT string_agg(n::text, ' ' ORDER BY n) FROM %[1]s.a) || ', ' || (SELECT count(m) FROM %[1]s.a) + (SELECT count(*) FROM %[1]s.b)`, schema)).Scan(&got)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42P01" && strings.Contains(pg.Message, "goose_db_version") {
		return "0"
	}
	if err != nil {
		t.Fatal(err)
	}
	return got
}
