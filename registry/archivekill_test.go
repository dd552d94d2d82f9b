package registry

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// childEnv makes this program archive and restore the tenant acme, over and over, on
// the control database that it names.
const childEnv = "GORMTENANCY_TEST_ARCHIVER"

func archiver(dsn string) error {
	ctx, dir := context.Background(), os.Getenv(childEnv+"_DIR")
	r, err := Open(ctx, Config{DSN: dsn, Programs: os.Getenv(childEnv + "_PROGRAMS")})
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		a, err := r.Archive(ctx, "acme", ArchiveOptions{Dir: dir})
		if err != nil {
			return err
		}
		fmt.Println("archived")
		if _, err := r.Restore(ctx, "acme", filepath.Join(dir, a.File), RestoreOptions{}); err != nil {
			return err
		}
		fmt.Println("restored")
	}
}

// TestArchiverKilled: the process dies at random moments. What it began is finished by
// the next who says it, and the data is what it was.
func TestArchiverKilled(t *testing.T) {
	t.Parallel()
	const kills = 6
	r := openArchives(t, Config{}, "acme")
	data, dir := contents(t, r.cfg.DSN, "tenant_acme"), t.TempDir()
	seen := map[string]int{}
	for i := range kills {
		killedArchiver(t, r, dir)
		rec := must(r.Get(t.Context(), "acme"))(t)
		phase := query[string](t, r.cfg.DSN, "SELECT coalesce(archive ->> 'phase', 'none') FROM tenancy.tenants")
		seen[phase]++
		if phase == "none" && rec.State != tenant.StateActive {
			t.Fatalf("it is %s", rec.State)
		}
		if i%2 == 0 && rec.State == tenant.StateArchived {
			a := must(r.Archived(t.Context(), "acme"))(t)
			must(r.Restore(t.Context(), "acme", filepath.Join(dir, a.File), RestoreOptions{}))(t)
		} else {
			a := must(r.Archive(t.Context(), "acme", ArchiveOptions{Dir: dir}))(t)
			must(r.Restore(t.Context(), "acme", filepath.Join(dir, a.File), RestoreOptions{}))(t)
		}
		if s := state(t, r, "acme"); s != tenant.StateActive {
			t.Fatalf("it is %s", s)
		}
		if now := contents(t, r.cfg.DSN, "tenant_acme"); now != data {
			t.Fatal("its data has changed")
		}
	}
	t.Logf("killed in the phases %v", seen)
	if n := query[int](t, r.cfg.DSN, "SELECT count(*)::int FROM pg_namespace WHERE nspname LIKE 'archived%'"); n != 0 {
		t.Errorf("%d schemas are left", n)
	}
	if half := must(filepath.Glob(filepath.Join(dir, "*.partial")))(t); len(half) != 0 {
		t.Errorf("left %v", half)
	}
}

// killedArchiver runs an archiver, and kills it some time after it has begun.
func killedArchiver(t testing.TB, r *Registry, dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), must(os.Executable())(t))
	cmd.Env = append(os.Environ(), childEnv+"="+r.cfg.DSN, childEnv+"_DIR="+dir, childEnv+"_PROGRAMS="+r.cfg.Programs)
	cmd.Stderr = os.Stderr
	out := must(cmd.StdoutPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 1 + rand.IntN(2) {
		if !lines.Scan() {
			break
		}
	}
	time.Sleep(rand.N(500 * time.Millisecond)) // any moment is a good one
	_ = cmd.Process.Kill()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("the archiver ended by itself: %v", err)
	}
}
