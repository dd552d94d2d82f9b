package migrations_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// TestLockTimeout: a tenant whose table is in use is put off, and migrated once the
// others are through.
func TestLockTimeout(t *testing.T) {
	t.Parallel()
	l := newLab(t, pgtest.Any(t), 1, 6)
	if _, err := l.run(load(t, files(first)), migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	conn := must(pgx.Connect(t.Context(), l.dsn(0)))(t)
	defer conn.Close(context.Background()) //nolint:errcheck // it is closed by then
	tx := must(conn.Begin(t.Context()))(t)
	if _, err := tx.Exec(t.Context(), "SELECT FROM tenant_t002.item"); err != nil {
		t.Fatal(err)
	}
	var order []tenant.ID
	rep, err := l.run(load(t, files(first, second)), migrations.Options{
		LockTimeout: time.Millisecond, Retries: 100, PerShard: 1, // one by one: tenant 2 before 3
		Observe: func(p migrations.Progress) {
			if order = append(order, p.Tenant); len(order) == 5 {
				_ = tx.Rollback(t.Context())
			}
		},
	})
	if err != nil || rep.Done() != 6 || rep.Retries == 0 || order[5] != id(2) {
		t.Errorf("%v, %v, %d retries, in the order %v", rep, err, rep.Retries, order)
	}
	for i := range 6 {
		l.expect(i, 2)
	}
}

// TestBusy: a tenant on which somebody else works is left alone, and reported.
func TestBusy(t *testing.T) {
	t.Parallel()
	l := newLab(t, pgtest.Any(t), 1, 3)
	locks := must(l.Locks(t.Context()))(t)
	held := must(locks.Try(t.Context(), []tenant.ID{id(1), "nobody"}))(t)
	if len(held.Tenants) != 1 || !slices.Equal(held.Gone, []tenant.ID{"nobody"}) {
		t.Errorf("held %v", held)
	}
	rep, err := l.run(load(t, files(first)), migrations.Options{Retries: 1})
	if !errors.Is(err, migrations.ErrLeftOut) || rep.Counts[migrations.Skipped] != 1 || rep.Skipped[id(1)] == "" || rep.Done() != 2 {
		t.Errorf("%v, %v, %v", rep, err, rep.Skipped)
	}
	locks.Close(t.Context())
	if rep, err = l.run(load(t, files(first)), migrations.Options{}); err != nil || rep.Done() != 1 {
		t.Errorf("free again: %v, %v", rep, err)
	}
}

// TestManyRunners: processes that migrate the same fleet share the work, and nobody
// does a tenant's twice.
func TestManyRunners(t *testing.T) {
	t.Parallel()
	const tenants, runners = 40, 5
	l := newLab(t, pgtest.Any(t), 2, tenants)
	set := load(t, files("-- +goose Up\nCREATE TABLE a (n int); INSERT INTO a VALUES (1);"))
	var wg sync.WaitGroup
	reports := make([]*migrations.Report, runners)
	for i := range runners {
		reg := must(registry.Open(t.Context(), registry.Config{DSN: l.control}))(t)
		t.Cleanup(reg.Close)
		wg.Go(func() {
			var err error
			reports[i], err = migrations.Run(t.Context(), reg, set, migrations.Options{Backoff: 10 * time.Millisecond, Retries: 50})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var migrated int
	for _, rep := range reports {
		migrated += rep.Counts[migrations.Migrated]
	}
	if migrated != tenants {
		t.Errorf("%d tenants were migrated, want %d", migrated, tenants)
	}
	for i := range tenants {
		l.expect(i, 1)
		if n := query[int](t, l.dsn(i), "SELECT count(*)::int FROM tenant_"+string(id(i))+".a"); n != 1 {
			t.Errorf("tenant %d: %d rows", i, n)
		}
	}
}

// TestRings: one ring is through before the next begins, and a canary that fails
// spares the others.
func TestRings(t *testing.T) {
	t.Parallel()
	l := newLab(t, pgtest.Any(t), 2, 12)
	if err := l.SetTier(t.Context(), id(7), "pro"); err != nil {
		t.Fatal(err)
	}
	rings := []migrations.Ring{{Name: "canary", Tenants: []tenant.ID{id(3), id(4)}}, {Name: "pro", Tier: "pro"}, {Name: "half", Percent: 50}}
	var order []string
	rep, err := l.run(load(t, files(first)), migrations.Options{Rings: rings, Observe: func(p migrations.Progress) { order = append(order, p.Ring) }})
	if err != nil || rep.Done() != 12 {
		t.Fatalf("%v, %v", rep, err)
	}
	if seen := slices.Compact(order); !slices.Equal(seen, []string{"canary", "pro", "half", "rest"}) {
		t.Errorf("rings in the order %v", seen)
	}
	l.exec(4, "CREATE TABLE taken ()")
	rep, err = l.run(load(t, files(first, "-- +goose Up\nCREATE TABLE taken ();")), migrations.Options{Rings: rings})
	// The other canary may have been begun, or not.
	if !errors.Is(err, migrations.ErrBudget) || len(rep.Failed) != 1 || rep.Counts[migrations.Unreached] < 10 {
		t.Errorf("%v, %v", rep, err)
	}
	for i := range 12 {
		if i != 3 {
			l.expect(i, 1)
		}
	}
}

// TestCancelled: whenever the context ends, the report is right and no tenant stands
// in between.
func TestCancelled(t *testing.T) {
	t.Parallel()
	const tenants = 60
	l := newLab(t, pgtest.Any(t), 2, tenants)
	set := must(killedFiles())(t)
	said := map[tenant.ID]bool{}
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		left := 1 + rand.IntN(12)
		rep, err := migrations.Run(ctx, l, set, migrations.Options{MaxFailures: -1, Observe: func(p migrations.Progress) {
			if p.Outcome == migrations.Migrated || p.Outcome == migrations.Corrected {
				said[p.Tenant] = true
			}
			if left--; left == 0 {
				cancel()
			}
		}})
		if err != nil && (!errors.Is(err, context.Canceled) || len(rep.Failed) > 0) {
			t.Errorf("%v: %v", rep, err)
		}
		cancel()
		l.inFull(said)
	}
	if rep, err := l.run(set, migrations.Options{}); err != nil || rep.Done() != rep.Total {
		t.Errorf("the rest: %v, %v", rep, err)
	}
	for i := range tenants {
		l.expect(i, 4)
	}
}

// TestGooseTables: whatever goose has left in a tenant's table is read as goose does.
func TestGooseTables(t *testing.T) {
	t.Parallel()
	l := newLab(t, pgtest.Any(t), 1, 4)
	set := load(t, files(first, second, "-- +goose Up\nINSERT INTO item VALUES (9, 'nine');\n-- +goose Down\nDELETE FROM item WHERE id = 9;"))
	if _, err := l.run(set, migrations.Options{Target: 2}); err != nil {
		t.Fatal(err)
	}
	l.exec(0, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1, true)")                       // twice, as its first releases did
	l.exec(1, "SELECT nextval('goose_db_version_id_seq')")                                                    // an attempt was rolled back
	l.exec(2, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (3, true)")                       // goose was there before us
	l.exec(3, "DELETE FROM goose_db_version WHERE version_id = 1; SELECT nextval('goose_db_version_id_seq')") // a gap
	rep, err := l.run(set, migrations.Options{MaxFailures: -1})
	if !errors.Is(err, migrations.ErrGaps) || len(rep.Failed) != 1 || rep.Failed[id(3)] == nil {
		t.Errorf("%v, %v", rep, err)
	}
	if rep.Counts[migrations.Migrated] != 2 || rep.Counts[migrations.Corrected] != 1 {
		t.Errorf("%v", rep)
	}
	if rep, err = l.run(set, migrations.Options{Target: 2, Down: true}); err != nil || rep.Done() != 3 {
		t.Errorf("down: %v, %v", rep, err)
	}
	if n := query[int](t, l.dsn(1), "SELECT count(*)::int FROM tenant_t001.item"); n != 1 {
		t.Errorf("%d rows", n)
	}
}
