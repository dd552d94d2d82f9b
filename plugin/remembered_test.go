package tenantplugin_test

import (
	"context"
	"testing"

	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// often is more than a text needs to become a tenant's own statement.
const often = 20

// What a connection remembers of a tenant (plans, own statements, that it is
// pinned) must not outlive what the directory says now.
func TestWhatConnectionsRemember(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(*testing.T, *world){
		"a schema that changes":                   schemaChanges,
		"a text that looks like another's own":    textOfAnother,
		"a statement prepared for another":        preparedForAnother,
		"a pinned connection of one who moved":    movedWhilePinned,
		"a transaction of one who moved":          movedInTransaction,
		"shared statements in a tenant's own":     sharedInTransaction,
		"a transaction that another one takes up": strangerInTransaction,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
				w := newWorld(t, s)
				handle, err := w.db.DB()
				ok(t, err)
				handle.SetMaxOpenConns(1)
				run(t, w)
			})
		})
	}
}

func (w *world) context(t *testing.T, id tenant.ID) context.Context {
	return tenant.NewContext(t.Context(), id)
}

func schemaChanges(t *testing.T, w *world) {
	for range 2 {
		for range often {
			sees(t, w.as(t, "a"), "a")
			sees(t, w.as(t, "b"), "b")
		}
		w.fleet.change("a", func(r *tenant.Tenant) { r.Schema = tenant.SchemaFor("b") })
		w.fleet.change("b", func(r *tenant.Tenant) { r.Schema = tenant.SchemaFor("a") })
		for range often {
			sees(t, w.as(t, "a"), "b")
			sees(t, w.as(t, "b"), "a")
		}
		w.fleet.change("a", func(r *tenant.Tenant) { r.Schema = tenant.SchemaFor("a") })
		w.fleet.change("b", func(r *tenant.Tenant) { r.Schema = tenant.SchemaFor("b") })
	}
}

func textOfAnother(t *testing.T, w *world) {
	const text = "select name from users where id = ?"
	for range often {
		for id, text := range map[tenant.ID]string{"a": text + "/*b*/", "b": text} {
			var got string
			ok(t, w.as(t, id).Raw(text, 1).Scan(&got).Error)
			if got != string(id) {
				t.Fatalf("tenant %s reads %q", id, got)
			}
		}
	}
}

func preparedForAnother(t *testing.T, w *world) {
	handle, err := w.db.DB()
	ok(t, err)
	stmt, err := handle.PrepareContext(w.context(t, "a"), "select name from users where id = $1")
	ok(t, err)
	defer stmt.Close()
	for range often {
		for _, id := range []tenant.ID{"a", "b", "c"} {
			var got string
			ok(t, stmt.QueryRowContext(w.context(t, id), 1).Scan(&got))
			if got != string(id) {
				t.Fatalf("tenant %s reads %q", id, got)
			}
		}
	}
	tx, err := handle.BeginTx(w.context(t, "b"), nil)
	ok(t, err)
	var got string
	ok(t, tx.StmtContext(t.Context(), stmt).QueryRowContext(w.context(t, "b"), 1).Scan(&got))
	if got != "b" {
		t.Errorf("in its transaction b reads %q", got)
	}
	if err := tx.StmtContext(t.Context(), stmt).QueryRowContext(w.context(t, "a"), 1).Scan(&got); err == nil {
		t.Errorf("in b's transaction a reads %q", got)
	}
	_ = tx.Rollback() // it is lost already
}

// move makes a be where c is.
func (w *world) move() {
	w.fleet.change("a", func(r *tenant.Tenant) { r.Schema, r.Placement.Shard = tenant.SchemaFor("c"), "s2" })
}

func movedWhilePinned(t *testing.T, w *world) {
	ok(t, w.as(t, "a").Connection(func(c *gorm.DB) error {
		for range often {
			sees(t, c, "a")
		}
		w.move()
		sees(t, c, "c")
		return nil
	}))
}

func movedInTransaction(t *testing.T, w *world) {
	err := w.as(t, "a").Transaction(func(tx *gorm.DB) error {
		sees(t, tx, "a")
		w.move()
		if got, err := first(tx); err == nil {
			t.Errorf("behind the move the transaction reads %q", got)
		}
		return nil
	})
	if err == nil {
		t.Error("it was committed")
	}
	sees(t, w.as(t, "a"), "c")
}

func sharedInTransaction(t *testing.T, w *world) {
	err := w.as(t, "a").Transaction(func(tx *gorm.DB) error {
		sees(t, tx, "a")
		if got, err := first(tx.WithContext(tenant.Shared(t.Context()))); err == nil {
			t.Errorf("a shared statement reads %q", got)
		}
		return nil
	})
	if err == nil {
		t.Error("it was committed")
	}
}

func strangerInTransaction(t *testing.T, w *world) {
	tx := w.as(t, "a").Begin()
	ok(t, tx.Error, tx.Create(&User{Name: "of a"}).Error)
	for _, ctx := range []context.Context{w.context(t, "b"), w.context(t, "c"), t.Context()} {
		if err := tx.WithContext(ctx).Create(&User{Name: "stray"}).Error; err == nil {
			t.Error("a stranger writes in a's transaction")
		}
	}
	if err := tx.Commit().Error; err == nil {
		t.Error("it was committed")
	}
	for _, id := range []tenant.ID{"a", "b", "c"} {
		if n := w.count(t, id, "users"); n != 1 {
			t.Errorf("%s has %d users", id, n)
		}
	}
}
