package tenantplugin_test

import (
	"errors"
	"strings"
	"testing"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/plugin/dbresolver"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestPreparedHazards(t *testing.T) {
	eachHazard(t, []hazard{
		{"a prepared session serves tenants on all shards", preparedSession},
		{"a prepared statement without tenant poisons nobody", preparedWithoutTenant},
		{"the default transaction over prepared statements is one", preparedDefault},
		{"a prepared session in a transaction stays in it", preparedInTransaction},
		{"prepared statements after a migration", preparedAfterDDL},
		{"GORM's store has the prepared statements", preparedInOwnStore},
		{"a broken row of a prepared session", preparedBrokenRow},
		{"tables of the same name in different shapes", differentShapes},
	})
}

func prepared(db *gorm.DB) *gorm.DB { return db.Session(&gorm.Session{PrepareStmt: true}) }

func preparedSession(t *testing.T, w *world) {
	for range 3 {
		for id := range onShard {
			db := w.as(t, id).Session(&gorm.Session{PrepareStmt: true})
			sees(t, db, id)
			if err := db.Transaction(func(tx *gorm.DB) error { sees(t, tx, id); return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func preparedWithoutTenant(t *testing.T, w *world) {
	db := w.db.Session(&gorm.Session{PrepareStmt: true})
	if _, err := first(db); !errors.Is(err, tenant.ErrNone) {
		t.Fatal(err)
	}
	sees(t, w.as(t, "a").Session(&gorm.Session{PrepareStmt: true}), "a")
	sees(t, w.as(t, "c").Session(&gorm.Session{PrepareStmt: true}), "c")
}

// Where Create runs without its transaction, the row outlives the failed hook.
func preparedDefault(t *testing.T, w *world) {
	for _, id := range []tenant.ID{"a", "c"} {
		if err := prepared(w.as(t, id)).Create(&regret{Name: "undone"}).Error; !errors.Is(err, errRegret) {
			t.Error(err)
		}
		if n := w.count(t, id, "users where name = 'undone'"); n != 0 {
			t.Errorf("%s kept %d rows", id, n)
		}
	}
}

func preparedInTransaction(t *testing.T, w *world) {
	for _, id := range []tenant.ID{"a", "c"} {
		err := w.as(t, id).Transaction(func(tx *gorm.DB) error {
			if err := prepared(tx).Create(&User{Name: "undone"}).Error; err != nil {
				return err
			}
			var n int64
			if err := prepared(tx).Model(&User{}).Where("name = 'undone'").Count(&n).Error; err != nil || n != 1 {
				t.Errorf("%s saw %d of its rows, %v", id, n, err)
			}
			return errRegret
		})
		if n := w.count(t, id, "users where name = 'undone'"); !errors.Is(err, errRegret) || n != 0 {
			t.Errorf("%s kept %d rows, %v", id, n, err)
		}
	}
}

// userWithNote is a later version of User.
type userWithNote struct {
	ID   int64
	Name string
	Note *string
}

func (userWithNote) TableName() string { return "users" }

func preparedAfterDDL(t *testing.T, w *world) {
	read := func(id tenant.ID) {
		t.Helper()
		for range 3 { // as often as it takes to be planned once and for all
			var u struct{ Name string }
			if err := prepared(w.as(t, id)).Raw("select * from users where id = ?", 1).Scan(&u).Error; err != nil || u.Name != string(id) {
				t.Fatalf("%s: %q, %v", id, u.Name, err)
			}
		}
	}
	read("a")
	read("c")
	for _, id := range []tenant.ID{"c", "a"} {
		if err := w.as(t, id).Migrator().AddColumn(&userWithNote{}, "Note"); err != nil {
			t.Fatal(err)
		}
		read("a")
		read("c")
	}
}

// dbresolver would keep them in stores of its own, which an application that
// looks at GORM's, or closes it, does not reach.
func preparedInOwnStore(t *testing.T, w *world) {
	for _, clause := range []clause.Expression{nil, dbresolver.Read, dbresolver.Write} {
		db := prepared(w.as(t, "c"))
		store, isStore := db.ConnPool.(*gorm.PreparedStmtDB)
		if !isStore {
			t.Fatalf("the pool is a %T", db.ConnPool)
		}
		store.Close()
		if clause != nil {
			db = db.Clauses(clause).Session(&gorm.Session{})
		}
		sees(t, db, "c")
		sees(t, db, "c")
		if keys := store.Stmts.Keys(); len(keys) != 1 || !strings.HasPrefix(keys[0], "SELECT * FROM") {
			t.Errorf("%v: the store has %q", clause, keys)
		}
	}
}

func preparedBrokenRow(t *testing.T, w *world) {
	var n int
	if err := prepared(w.as(t, "a")).Raw("selec 1").Row().Scan(&n); err == nil {
		t.Error("a syntax error was read")
	}
	if err := prepared(w.db).Raw("select 2").Row().Scan(&n); !errors.Is(err, tenant.ErrNone) {
		t.Error(err)
	}
}

func differentShapes(t *testing.T, w *world) {
	w.oneConnection(t)
	w.admin(t, 0, "alter table tenant_a.users add note text")
	text := "select * from users where id = ?"
	read := func(db *gorm.DB, id tenant.ID) {
		t.Helper()
		var u struct{ Name string }
		if err := db.Raw(text, 1).Scan(&u).Error; err != nil || u.Name != string(id) {
			t.Fatalf("%s: %q, %v", id, u.Name, err)
		}
	}
	for range 10 {
		read(w.as(t, "a"), "a")
		read(w.as(t, "b"), "b")
	}
	// In a transaction the server's refusal would abort it: the version that
	// migrations have reached keeps the statements apart.
	w.fleet.change("a", func(tn *tenant.Tenant) { tn.Version = 2 })
	text = "select users.* from users where id = ?" // one that no tenant has a plan of its own for
	for range 10 {
		for _, id := range []tenant.ID{"a", "b"} {
			err := w.as(t, id).Transaction(func(tx *gorm.DB) error { read(tx, id); return nil })
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
