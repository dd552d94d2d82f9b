package registry

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/internal/pgtool"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// TestSuspendedMeanwhile: an operator who suspends a tenant, or wants it deleted, while
// it is archived or restored, is heeded when that ends.
func TestSuspendedMeanwhile(t *testing.T) {
	t.Parallel()
	r := openArchives(t, Config{DeleteEvery: -1}, "acme")
	deletion := func(ctx context.Context) error { return errorOf(r.DeleteAfter(ctx, "acme", time.Hour)) }
	for what, c := range map[string]struct {
		do    func(ctx context.Context) error
		fails bool
	}{
		"suspended, fails": {func(ctx context.Context) error { return r.Suspend(ctx, "acme") }, true},
		"suspended":        {func(ctx context.Context) error { return r.Suspend(ctx, "acme") }, false},
		"deleted, fails":   {deletion, true},
		"deleted":          {deletion, false},
	} {
		dir := t.TempDir()
		a, err := r.Archive(t.Context(), "acme", ArchiveOptions{Dir: dir, Keep: func(ctx context.Context, _ string) error {
			if err := c.do(ctx); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if c.fails {
				return context.DeadlineExceeded
			}
			return nil
		}})
		if (err != nil) != c.fails {
			t.Errorf("%s: %v", what, err)
		}
		must(r.Undelete(t.Context(), "acme"))(t)
		if !c.fails {
			must(r.Restore(t.Context(), "acme", dir+"/"+a.File, RestoreOptions{}))(t)
		}
		// Of one that was to be deleted, Undelete came before the end.
		want := tenant.StateSuspended
		if what == "deleted" {
			want = tenant.StateActive
		}
		if s := state(t, r, "acme"); s != want {
			t.Errorf("%s: it is %s, want %s", what, s, want)
		}
		if err := r.Resume(t.Context(), "acme"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestEndOnEveryVersion: programs that are older than the server are refused before
// anything happens, and Delete needs none.
func TestEndOnEveryVersion(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		r := openArchives(t, Config{DSN: s.Database(t)}, "acme")
		a, err := r.Archive(t.Context(), "acme", ArchiveOptions{Dir: t.TempDir()})
		_, old := pgtool.Find(t.Context(), r.cfg.Programs, "pg_dump", must(strconv.Atoi(s.Version))(t))
		if errors.Is(err, ErrPrograms) != (old != nil) || err == nil && a.Tables["items"].Rows != 303 {
			t.Errorf("%+v, %v", a.Tables, err)
		}
		if err != nil && state(t, r, "acme") != tenant.StateActive {
			t.Errorf("it is %s", state(t, r, "acme"))
		}
		if err := r.Delete(t.Context(), "acme"); err != nil || tenantSchemas(t, r.cfg.DSN) != 0 {
			t.Errorf("deleted: %v", err)
		}
	})
}
