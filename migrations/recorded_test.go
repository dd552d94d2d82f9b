package migrations_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// recorder is a migrations.Record that adds a column where there is none.
type recorder struct {
	mu    sync.Mutex
	asked []tenant.ID
}

func (r *recorder) record(ctx context.Context, tx *sql.Tx) (texts []string, err error) {
	id, err := tenant.FromContext(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.asked = append(r.asked, id)
	r.mu.Unlock()
	var there bool
	row := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'item'::regclass AND attname = 'extra')")
	if err := row.Scan(&there); err != nil || there {
		return nil, err
	}
	texts = []string{"ALTER TABLE item ADD COLUMN extra int"}
	_, err = tx.ExecContext(ctx, texts[0])
	return texts, err
}

// TestRecorded: what was found out for one tenant is played for those that have the
// same version, and found out again for one that differs.
func TestRecorded(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		l := newLab(t, s, 2, 12)
		if _, err := l.run(load(t, files(first)), migrations.Options{}); err != nil {
			t.Fatal(err)
		}
		l.exec(7, "ALTER TABLE item ADD COLUMN extra int")
		r := &recorder{}
		set := must(migrations.NewRecorded(9, "models", r.record))(t)
		if _, err := migrations.Run(t.Context(), l, set, migrations.Options{Down: true}); !errors.Is(err, migrations.ErrVersion) {
			t.Errorf("down: %v", err)
		}
		plan := must(migrations.Preview(t.Context(), l, set, migrations.Options{}))(t)
		if plan.Tenants() != 12 || len(plan.Versions) != 1 || plan.Versions[0].Version != 9 || len(r.asked) != 0 {
			t.Errorf("plan %+v", plan)
		}
		rep, err := l.run(set, migrations.Options{Rings: []migrations.Ring{{Name: "canary", Tenants: []tenant.ID{id(3)}}}})
		if err != nil || rep.Counts[migrations.Migrated] != 12 {
			t.Fatalf("%v, %v", rep, err)
		}
		if !slices.Equal(r.asked, []tenant.ID{id(3), id(7)}) {
			t.Errorf("recorded in %v", r.asked)
		}
		for i := range 12 {
			l.expect(i, 9)
			l.exec(i, "SELECT extra FROM item")
		}
		if rep, err := l.run(set, migrations.Options{}); err != nil || rep.Total != 0 {
			t.Errorf("again: %v, %v", rep, err)
		}
	})
}

// TestRecordedFails: a record that fails, or that would leave the tenant's scope, fails
// its tenants and changes nothing.
func TestRecordedFails(t *testing.T) {
	t.Parallel()
	l := newLab(t, pgtest.Any(t), 1, 3)
	if _, err := l.run(load(t, files(first)), migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	for want, texts := range map[error][]string{broken: nil, tenant.ErrForbidden: {"SET search_path = tenant_t001"}} {
		set := must(migrations.NewRecorded(9, "models", func(ctx context.Context, tx *sql.Tx) ([]string, error) {
			if _, err := tx.ExecContext(ctx, "DROP TABLE item"); err != nil {
				return nil, err
			}
			if texts == nil {
				return nil, broken
			}
			return texts, nil
		}))(t)
		rep, err := l.run(set, migrations.Options{MaxFailures: -1})
		if !errors.Is(err, want) || len(rep.Failed) != 3 {
			t.Errorf("%v: %v, %v", want, rep, err)
		}
	}
	for i := range 3 {
		l.expect(i, 1)
		l.exec(i, "SELECT FROM item")
	}
}
