package routing

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/plugin/dbresolver"

	"github.com/gormtenancy/gormtenancy/resolver"
)

// raw returns a statement that asks by GORM's Raw and wants one value.
func raw(text string, args ...any) func(*gorm.DB) error {
	return func(db *gorm.DB) error {
		var v any
		return db.Raw(text, args...).Row().Scan(&v)
	}
}

func exec(text string) func(*gorm.DB) error {
	return func(db *gorm.DB) error { return db.Exec(text).Error }
}

// in runs f in a transaction.
func in(f func(*gorm.DB) error, opts ...*sql.TxOptions) func(*gorm.DB) error {
	return func(db *gorm.DB) error { return db.Transaction(f, opts...) }
}

// with adds a clause to what f runs.
func with(c clause.Expression, f func(*gorm.DB) error) func(*gorm.DB) error {
	return func(db *gorm.DB) error { return f(db.Clauses(c)) }
}

// locking reads with one of GORM's clauses.
func locking(c clause.Locking) func(*gorm.DB) error {
	return with(c, func(db *gorm.DB) error { return db.Find(&[]Item{}).Error })
}

var readOnly = &sql.TxOptions{ReadOnly: true}

// onReplica may run on the replica, and does.
var onReplica = map[string]func(*gorm.DB) error{
	"Find":             func(db *gorm.DB) error { return db.Find(&[]Item{}).Error },
	"First":            func(db *gorm.DB) error { return db.First(&Item{}).Error },
	"Count":            count,
	"Pluck":            func(db *gorm.DB) error { return db.Model(&Item{}).Pluck("name", &[]string{}).Error },
	"Scan":             func(db *gorm.DB) error { return db.Model(&Item{}).Scan(&[]Item{}).Error },
	"Row":              raw("select name from items"),
	"Raw, Scan":        func(db *gorm.DB) error { return db.Raw("select * from items").Scan(&[]Item{}).Error },
	"Read, CTE":        with(dbresolver.Read, raw("with x as (select * from items) select count(*) from x")),
	"Read, values":     with(dbresolver.Read, raw("values (1)")),
	"known function":   raw("select lower(name) from items"),
	"a lock in a text": raw("select 'for update' from items -- for update, they say"),
	"prepared":         func(db *gorm.DB) error { return count(db.Session(&gorm.Session{PrepareStmt: true})) },
	"Clauses(Read)":    with(dbresolver.Read, count),
	"Read, any text":   with(dbresolver.Read, raw("select slowly()")),
	"Read, read only tx": func(db *gorm.DB) error {
		return db.Clauses(dbresolver.Read).Transaction(count, readOnly)
	},
}

// onPrimary must run on the primary, though a replica is at hand.
var onPrimary = map[string]func(*gorm.DB) error{
	"Create": func(db *gorm.DB) error { return db.Create(&Item{Name: "new"}).Error },
	"Save":   func(db *gorm.DB) error { return db.Save(&Item{ID: 1, Name: "saved"}).Error },
	"Update": func(db *gorm.DB) error { return db.Model(&Item{ID: 1}).Update("name", "x").Error },
	"Delete": func(db *gorm.DB) error { return db.Delete(&Item{ID: 77}).Error },
	"Exec":   exec("update items set name = 'x' where id = 77"),

	"Transaction":           in(count),
	"read only transaction": in(count, readOnly),
	"Clauses(Read).Begin":   with(dbresolver.Read, in(count)),

	"for update":             raw("select * from (select id from items for update) i"),
	"for update;":            raw("select id from items for update;"),
	"nowait":                 raw("select id from items for update nowait"),
	"skip locked":            raw("select id from items for update skip locked"),
	"share":                  raw("select id from items for share"),
	"key share":              raw("select id from items for key share"),
	"no key update":          raw("select id from items for no key update"),
	"of table":               raw("select id from items for update of items"),
	"before a comment":       raw("select id from items for update -- so it is"),
	"within a comment":       raw("select id from items for /* no */ update"),
	"upper case":             raw("SELECT id FROM items FOR\tUPDATE"),
	"clause.Locking":         locking(clause.Locking{Strength: "UPDATE"}),
	"clause.Locking, nowait": locking(clause.Locking{Strength: "NO KEY UPDATE", Options: "NOWAIT"}),
	"clause.Locking, share":  locking(clause.Locking{Strength: "SHARE", Table: clause.Table{Name: clause.CurrentTable}}),

	"writing CTE":   raw("with x as (insert into items (name) values ('cte') returning id) select id from x"),
	"deleting CTE":  raw("with x as (delete from items where id = 77 returning id) select count(*) from x"),
	"RETURNING":     raw("insert into items (name) values ('r') returning id"),
	"SELECT INTO":   exec("select * into copies from items"),
	"nextval":       raw("select nextval('items_id_seq')"),
	"setval":        raw("select setval('items_id_seq', 100)"),
	"advisory lock": raw("select pg_advisory_xact_lock(1)"),
	"try lock":      raw("select pg_try_advisory_xact_lock(2)"),
	"own function":  raw("select slowly()"),
	"two texts":     exec("select 1; delete from items where id = 77"),
	"explain":       exec("explain analyze delete from items where id = 77"),

	"Clauses(Write)":   with(dbresolver.Write, count),
	"Write, raw":       with(dbresolver.Write, raw("select count(*) from items")),
	"Write, prepared":  with(dbresolver.Write, func(db *gorm.DB) error { return count(db.Session(&gorm.Session{PrepareStmt: true})) }),
	"resolver.Primary": func(db *gorm.DB) error { return count(db.WithContext(resolver.Primary(db.Statement.Context))) },
	"Primary above Read": func(db *gorm.DB) error {
		return count(db.WithContext(resolver.Primary(db.Statement.Context)).Clauses(dbresolver.Read))
	},
}

// stocked makes a tenant with an item and a function of its own that reads.
func stocked(t *testing.T) context.Context {
	t.Helper()
	ctx := newTenant(t)
	db := lab.db.WithContext(ctx)
	must(t, db.Create(&Item{Name: "one"}).Error)
	must(t, db.Exec("create function slowly() returns int language sql as 'select 1'").Error)
	return ctx
}

func TestReadsRunOnTheReplica(t *testing.T) {
	t.Parallel()
	ctx := stocked(t)
	settled(t, ctx)
	for name, f := range onReplica {
		t.Run(name, func(t *testing.T) {
			// At once, as a rule; a loaded machine may sample the replica late.
			eventually(t, "the replica", func() bool {
				return routeOf(t, ctx, f) == resolver.Route{Shard: "s1", Node: "replica-0", Replica: true}
			})
		})
	}
	eventually(t, "the server's own word", func() bool {
		var standby bool
		must(t, lab.db.WithContext(ctx).Clauses(dbresolver.Read).Raw("select pg_is_in_recovery()").Scan(&standby).Error)
		return standby
	})
}

func TestAllElseRunsOnThePrimary(t *testing.T) {
	t.Parallel()
	ctx := stocked(t)
	for name, f := range onPrimary {
		t.Run(name, func(t *testing.T) {
			settled(t, ctx)
			if got := routeOf(t, ctx, f); got != (resolver.Route{Shard: "s1", Node: "primary"}) {
				t.Errorf("ran on %+v", got)
			}
		})
	}
	var standby bool
	must(t, lab.db.WithContext(ctx).Clauses(dbresolver.Write).Raw("select pg_is_in_recovery()").Scan(&standby).Error)
	if standby {
		t.Error("the primary says that it is a replica")
	}
}

// A transaction on a replica is read only there, too.
func TestReadOnlyTransactionOnTheReplica(t *testing.T) {
	t.Parallel()
	ctx := stocked(t)
	settled(t, ctx)
	eventually(t, "a transaction on the replica", func() bool {
		var standby bool
		must(t, lab.db.WithContext(ctx).Clauses(dbresolver.Read).Transaction(func(tx *gorm.DB) error {
			return tx.Raw("select pg_is_in_recovery()").Scan(&standby).Error
		}, readOnly))
		return standby
	})
	err := lab.db.WithContext(ctx).Clauses(dbresolver.Read).Transaction(func(tx *gorm.DB) error {
		return tx.Create(&Item{Name: "no"}).Error
	}, readOnly)
	if !isCode(err, "25006") {
		t.Fatalf("a write in a read only transaction: %v", err)
	}
}

// A transaction that is not read only writes, whatever dbresolver was told.
func TestBeginOnTheReadingPoolWrites(t *testing.T) {
	t.Parallel()
	ctx := stocked(t)
	settled(t, ctx)
	tx := lab.db.WithContext(ctx).Clauses(dbresolver.Read).Begin()
	must(t, tx.Error)
	must(t, tx.Create(&Item{Name: "begun"}).Error)
	must(t, tx.Commit().Error)
	var item Item
	must(t, lab.db.WithContext(ctx).First(&item, "name = ?", "begun").Error)
}

// FindInBatches reads on the replica; what its function does in a transaction
// runs on the primary.
func TestTransactionInFindInBatches(t *testing.T) {
	t.Parallel()
	ctx := stocked(t)
	settled(t, ctx)
	var items []Item
	batches := 0
	err := lab.db.WithContext(ctx).FindInBatches(&items, 1, func(batch *gorm.DB, _ int) error {
		batches++
		traced, route := resolver.Trace(ctx)
		return batch.Session(&gorm.Session{NewDB: true, Context: traced}).Transaction(func(tx *gorm.DB) error {
			err := tx.Model(&Item{}).Where("id = ?", items[0].ID).Update("name", "batched").Error
			if route.Replica || route.Node != "primary" {
				err = errors.Join(err, errors.New("the transaction ran on "+route.Node))
			}
			return err
		})
	}).Error
	must(t, err)
	if batches == 0 {
		t.Fatal("no batch")
	}
	must(t, lab.db.WithContext(ctx).First(&Item{}, "name = ?", "batched").Error)
}
