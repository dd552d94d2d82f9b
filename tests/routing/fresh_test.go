package routing

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"gorm.io/plugin/dbresolver"

	"github.com/gormtenancy/gormtenancy/resolver"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func isCode(err error, code string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == code
}

// reads returns what a tenant's ordinary read finds, and where it ran.
func reads(t *testing.T, ctx context.Context, name string) (found bool, at resolver.Route) {
	t.Helper()
	at = routeOf(t, ctx, func(db *gorm.DB) error {
		var n int64
		err := db.Model(&Item{}).Where("name = ?", name).Count(&n).Error
		found = n > 0
		return err
	})
	return found, at
}

// While the replica stands still, a tenant sees its own writes, made by
// whatever road; the other tenants go on reading there.
func TestReadYourWrites(t *testing.T) {
	for name, write := range map[string]func(*gorm.DB) error{
		"Create":      func(db *gorm.DB) error { return db.Create(&Item{Name: "mine"}).Error },
		"Exec":        exec("insert into items (name) values ('mine')"),
		"Raw":         raw("insert into items (name) values ('mine') returning id"),
		"writing CTE": raw("with x as (insert into items (name) values ('mine') returning id) select id from x"),
		"transaction": in(exec("insert into items (name) values ('mine')")),
		"raw tx":      func(db *gorm.DB) error { return db.Connection(rawTransaction) },
		"prepared": func(db *gorm.DB) error {
			return db.Session(&gorm.Session{PrepareStmt: true}).Create(&Item{Name: "mine"}).Error
		},
		"own function": raw("select put('mine')"),
		// 25006 on the replica: the primary runs it instead.
		"own function, Read": with(dbresolver.Read, raw("select put('mine')")),
		"handle": func(db *gorm.DB) error {
			handle, err := db.DB()
			if err == nil {
				_, err = handle.ExecContext(db.Statement.Context, "insert into items (name) values ('mine')")
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, other := withPut(t), newTenant(t)
			settled(t, other)
			settled(t, ctx)
			resume := heldBack(t)
			if at := routeOf(t, ctx, write); at.Replica {
				t.Fatalf("wrote on %+v", at)
			}
			if found, at := reads(t, ctx, "mine"); !found || at.Replica {
				t.Errorf("the write is not seen on %+v", at)
			}
			if at := routeOf(t, other, count); !at.Replica {
				t.Errorf("another tenant had to read on %+v", at)
			}
			resume()
			settled(t, ctx)
			if found, _ := reads(t, ctx, "mine"); !found {
				t.Error("back on the replica, the write is not seen")
			}
		})
	}
}

func rawTransaction(db *gorm.DB) error {
	return errors.Join(db.Exec("begin").Error, db.Exec("insert into items (name) values ('mine')").Error, db.Exec("commit").Error)
}

// withPut makes a tenant with a function that writes.
func withPut(t *testing.T) context.Context {
	t.Helper()
	ctx := newTenant(t)
	must(t, lab.db.WithContext(ctx).Exec(`create function put(text) returns bigint language sql
		as 'insert into items (name) values ($1) returning id'`).Error)
	return ctx
}

// The first rows of a statement may arrive before it is committed: its write
// counts from its end.
func TestReadYourWritesOfAStreamingStatement(t *testing.T) {
	ctx := withPut(t)
	settled(t, ctx)
	gate := node(t, primary())
	_, err := gate.Exec(t.Context(), "select pg_advisory_lock(4711)")
	must(t, err)
	// The second row pushes the first out of the server's buffer, while the
	// third waits for the lock.
	rows, err := lab.db.WithContext(ctx).Raw(`select put('mine'),
		case when i < 3 then repeat('x', 100000) else pg_advisory_xact_lock(4711)::text end
		from generate_series(1, 3) i`).Rows()
	must(t, err)
	settled(t, ctx) // nothing is committed: the replica is as fresh as can be
	heldBack(t)
	_, err = gate.Exec(t.Context(), "select pg_advisory_unlock(4711)")
	must(t, err)
	for rows.Next() {
	}
	must(t, errors.Join(rows.Err(), rows.Close()))
	if found, at := reads(t, ctx, "mine"); !found {
		t.Fatalf("the write is not seen on %+v", at)
	}
}

// FirstOrCreate and Save read first: on a replica that stands still they would
// write a second time what the tenant has just written.
func TestFirstOrCreateAfterAWrite(t *testing.T) {
	ctx := newTenant(t)
	settled(t, ctx)
	heldBack(t)
	db := lab.db.WithContext(ctx)
	var a, b Item
	must(t, db.FirstOrCreate(&a, Item{Name: "once"}).Error)
	must(t, db.FirstOrCreate(&b, Item{Name: "once"}).Error)
	if a.ID == 0 || a.ID != b.ID {
		t.Fatalf("created twice: %d and %d", a.ID, b.ID)
	}
	a.Name = "saved"
	must(t, db.Save(&a).Error)
	must(t, db.Save(&Item{ID: 50, Name: "upserted"}).Error)
	var all []Item
	must(t, db.Order("id").Find(&all).Error)
	if len(all) != 2 || all[0].Name != "saved" || all[1].ID != 50 {
		t.Fatalf("%+v", all)
	}
}

// Wide is Item with a column more.
type Wide struct {
	ID    int64
	Name  string
	Extra string
}

// TableName implements schema.Tabler.
func (Wide) TableName() string { return "items" }

// Another is a table that somebody else makes.
type Another struct{ ID int64 }

// The migrator looks at the primary, even for what another process has just
// done and this one's read-your-writes knows nothing of.
func TestAutoMigrateBesideALaggingReplica(t *testing.T) {
	ctx := newTenant(t)
	settled(t, ctx)
	heldBack(t)
	id, err := tenant.FromContext(ctx)
	must(t, err)
	schema := tenant.QuoteIdent(tenant.SchemaFor(id))
	other := node(t, primary())
	_, err = other.Exec(t.Context(), "create table "+schema+".anothers (id bigserial primary key);"+
		"alter table "+schema+".items add column extra text")
	must(t, err)
	if at := routeOf(t, ctx, count); !at.Replica {
		t.Fatal("the test needs a tenant that reads on the replica")
	}
	db := lab.db.WithContext(ctx)
	must(t, db.AutoMigrate(&Another{}, &Wide{}))
	if !db.Migrator().HasColumn(&Wide{}, "extra") || !db.Migrator().HasTable(&Another{}) {
		t.Error("the migrator does not see what exists")
	}
	must(t, db.Create(&Wide{Extra: "x"}).Error)
}

// A replica refuses to write (SQLSTATE 25006): the primary does it instead,
// once, and the caller hears nothing.
func TestRefusedByTheReplica(t *testing.T) {
	t.Parallel()
	ctx := withPut(t)
	settled(t, ctx)
	if at := routeOf(t, ctx, with(dbresolver.Read, raw("select put('once')"))); at.Replica || at.Node != "primary" {
		t.Fatalf("ran on %+v", at)
	}
	var n int64
	must(t, lab.db.WithContext(ctx).Model(&Item{}).Where("name = ?", "once").Count(&n).Error)
	if n != 1 {
		t.Fatalf("written %d times", n)
	}
	settled(t, ctx)
}
