package registry

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// openIdle opens a registry that deletes nothing by itself.
func openIdle(t testing.TB, dsn string) *Registry {
	t.Helper()
	return open(t, Config{DSN: dsn, HomeShard: "default", DeleteEvery: -1})
}

func newDeleter(r *Registry) *deleter {
	return &deleter{r: r, failed: map[tenant.ID]*pauseUntil{}}
}

func TestDeleteAfter(t *testing.T) {
	t.Parallel()
	r := openIdle(t, newDatabase(t))
	ctx := WithActor(t.Context(), "alice")
	create(t, r, "acme")
	create(t, r, "other")
	got := must(r.DeleteAfter(ctx, "acme", time.Hour))(t)
	if left := time.Until(got.DeleteAfter); got.State != tenant.StateSuspended || left < 50*time.Minute || left > 70*time.Minute {
		t.Errorf("%+v", got)
	}
	if now := must(r.Lookup(ctx, "acme"))(t); now != got {
		t.Errorf("%+v", now)
	}
	if page := must(r.List(ctx, Filter{Deleting: true}))(t); len(page) != 1 || page[0].ID != "acme" {
		t.Errorf("to be deleted: %v", page)
	}
	if err := r.Resume(ctx, "acme"); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), "Undelete") {
		t.Errorf("resumed: %v", err)
	}
	if got = must(r.Undelete(ctx, "acme"))(t); got.State != tenant.StateSuspended || !got.DeleteAfter.IsZero() {
		t.Errorf("%+v", got)
	}
	must(r.Undelete(ctx, "acme"))(t)
	if err := r.Resume(ctx, "acme"); err != nil {
		t.Error(err)
	}
	var changes []string
	for _, e := range must(r.Events(ctx, EventFilter{Tenant: "acme"}))(t) {
		if strings.Contains(string(e.After), "delete_after") && e.Action == "update" {
			changes = append(changes, e.Actor+" "+string(e.Before))
		}
	}
	if len(changes) != 2 || changes[0] != `alice {"state": "active", "delete_after": null}` || !strings.HasPrefix(changes[1], `alice {"delete_after": "20`) {
		t.Errorf("events %q", changes)
	}
	if _, err := r.DeleteAfter(ctx, "acme", -1); err == nil {
		t.Error("a negative grace was taken")
	}
	if _, err := r.DeleteAfter(ctx, "nobody", 0); !errors.Is(err, tenant.ErrUnknown) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := r.Undelete(ctx, "No!"); !errors.Is(err, tenant.ErrInvalidID) {
		t.Errorf("invalid: %v", err)
	}
	run(t, r.cfg.DSN, "UPDATE tenancy.tenants SET state = 'moving' WHERE id = 'other'")
	if _, err := r.DeleteAfter(ctx, "other", 0); !errors.Is(err, ErrState) {
		t.Errorf("moving: %v", err)
	}
}

// TestDeleteDue: what is due goes, by whichever process, and nothing else.
func TestDeleteDue(t *testing.T) {
	t.Parallel()
	dsn := newDatabase(t)
	regs := []*Registry{openIdle(t, dsn), openIdle(t, dsn), openIdle(t, dsn)}
	for _, id := range []tenant.ID{"a", "b", "c", "later", "never"} {
		create(t, regs[0], id)
	}
	for id, grace := range map[tenant.ID]time.Duration{"a": 0, "b": 0, "c": 0, "later": time.Hour} {
		must(regs[0].DeleteAfter(t.Context(), id, grace))(t)
	}
	var wg sync.WaitGroup
	for _, r := range regs {
		wg.Go(func() {
			if err := newDeleter(r).runOnce(t.Context(), time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// One that was taken back after it was listed.
	if err := newDeleter(regs[0]).delete(t.Context(), "later"); err != nil {
		t.Error(err)
	}
	if n := tenantSchemas(t, dsn); n != 2 || len(must(regs[0].List(t.Context(), Filter{}))(t)) != 2 {
		t.Errorf("%d schemas are left", n)
	}
	deleted := 0
	for _, e := range must(regs[0].Events(t.Context(), EventFilter{Object: "tenant"}))(t) {
		if e.Action == "delete" && e.Actor == dueActor {
			deleted++
		}
	}
	if deleted != 3 {
		t.Errorf("%d were deleted", deleted)
	}
	if _, err := regs[1].Lookup(t.Context(), "a"); !errors.Is(err, tenant.ErrUnknown) {
		t.Error(err)
	}
}

// TestDeleteDueFails: a shard that is down holds up nobody else, is left alone for a
// while, and is gone on with later.
func TestDeleteDueFails(t *testing.T) {
	t.Parallel()
	r := open(t, Config{DSN: newDatabase(t), DeleteEvery: -1})
	p := newProxy(t)
	down, up := newDatabase(t), newDatabase(t)
	addShards(t, r, map[string]string{"down": p.dsn(down), "up": up})
	for id, shard := range map[tenant.ID]string{"a": "down", "b": "up", "c": "down"} {
		must(r.Create(t.Context(), tenant.Spec{ID: id, Shard: shard}))(t)
		must(r.DeleteAfter(t.Context(), id, 0))(t)
	}
	p.cut()
	d, now := newDeleter(r), time.Now()
	if err := d.runOnce(t.Context(), now); err == nil || strings.Contains(err.Error(), password) || len(d.failed) != 2 {
		t.Errorf("%d failed: %v", len(d.failed), err)
	}
	if tenantSchemas(t, up) != 0 {
		t.Error("the shard that is up was not reached")
	}
	if err := d.runOnce(t.Context(), now); err != nil {
		t.Errorf("too early: %v", err)
	}
	if _, err := r.Undelete(t.Context(), "a"); !errors.Is(err, ErrState) {
		t.Errorf("taken back too late: %v", err)
	}
	p.restore(t)
	if err := d.runOnce(t.Context(), now.Add(time.Hour)); err != nil || len(d.failed) != 0 || tenantSchemas(t, down) != 0 {
		t.Errorf("%d schemas, %d failed: %v", tenantSchemas(t, down), len(d.failed), err)
	}
}

// TestDeletesByItself: the loop of Open does it.
func TestDeletesByItself(t *testing.T) {
	t.Parallel()
	r := open(t, Config{DSN: newDatabase(t), HomeShard: "default", DeleteEvery: 20 * time.Millisecond})
	create(t, r, "acme")
	must(r.DeleteAfter(t.Context(), "acme", 0))(t)
	eventually(t, "the deletion", func() bool {
		_, err := r.Get(context.WithoutCancel(t.Context()), "acme")
		return errors.Is(err, tenant.ErrUnknown)
	})
}

// TestDeleteAfterOfAnArchive: it is forgotten; until then it is not restored.
func TestDeleteAfterOfAnArchive(t *testing.T) {
	t.Parallel()
	r := openArchives(t, Config{DeleteEvery: -1}, "acme")
	file := exported(t, r, "acme")
	if got := must(r.DeleteAfter(t.Context(), "acme", 0))(t); got.State != tenant.StateArchived {
		t.Errorf("%+v", got)
	}
	if _, err := r.Restore(t.Context(), "acme", file, RestoreOptions{}); !errors.Is(err, ErrState) {
		t.Errorf("restored: %v", err)
	}
	must(r.Undelete(t.Context(), "acme"))(t)
	must(r.Restore(t.Context(), "acme", file, RestoreOptions{}))(t)
	exported(t, r, "acme")
	must(r.DeleteAfter(t.Context(), "acme", 0))(t)
	if err := newDeleter(r).runOnce(t.Context(), time.Now()); err != nil {
		t.Error(err)
	}
	if _, err := r.Get(t.Context(), "acme"); !errors.Is(err, tenant.ErrUnknown) {
		t.Error(err)
	}
}
