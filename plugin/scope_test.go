package tenantplugin_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestEveryTenantSeesItsOwn(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		for name, open := range map[string]struct {
			gc *gorm.Config
			pc func(*postgres.Config)
		}{
			"default":      {&gorm.Config{}, func(*postgres.Config) {}},
			"prepared":     {&gorm.Config{PrepareStmt: true}, func(*postgres.Config) {}},
			"simple":       {&gorm.Config{}, func(c *postgres.Config) { c.PreferSimpleProtocol = true }},
			"simple+prep":  {&gorm.Config{PrepareStmt: true}, func(c *postgres.Config) { c.PreferSimpleProtocol = true }},
			"no automatic": {&gorm.Config{SkipDefaultTransaction: true}, func(*postgres.Config) {}},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorldWith(t, s, open.gc, open.pc)
				var wg sync.WaitGroup
				for id := range onShard {
					wg.Go(func() {
						for range 20 {
							exercise(t, w.as(t, id), id)
						}
					})
				}
				wg.Wait()
			})
		}
	})
}

// exercise reads, writes and joins as one tenant, and fails on a foreign row.
func exercise(t *testing.T, db *gorm.DB, id tenant.ID) {
	want := string(id)
	var u User
	if err := db.Preload("Pets").First(&u, 1).Error; err != nil || u.Name != want || len(u.Pets) < 1 || u.Pets[0].Name != want {
		t.Errorf("%s: preload: %+v, %v", id, u, err)
	}
	var names []string
	if err := db.Raw("select p.name from users u join pets p on p.user_id = u.id where u.id = ?", 1).Scan(&names).Error; err != nil || len(names) < 1 || names[0] != want {
		t.Errorf("%s: raw: %v, %v", id, names, err)
	}
	if err := db.Create(&Pet{UserID: 1, Name: want}).Error; err != nil {
		t.Errorf("%s: create: %v", id, err)
	}
	err := db.Transaction(func(tx *gorm.DB) error {
		if err := tx.Model(&Pet{}).Where("user_id = ?", 1).Update("name", want).Error; err != nil {
			return err
		}
		return tx.Transaction(func(tx *gorm.DB) error {
			var n int64
			if err := tx.Model(&Pet{}).Where("name <> ?", want).Count(&n).Error; err != nil || n != 0 {
				return errors.Join(err, errors.New("foreign pets"))
			}
			return nil
		})
	})
	if err != nil {
		t.Errorf("%s: transaction: %v", id, err)
	}
	var one string
	if err := db.Raw("select name from users where id = 1").Row().Scan(&one); err != nil || one != want {
		t.Errorf("%s: row: %q, %v", id, one, err)
	}
}

func TestWithoutTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pgtest.Any(t))
	db := w.db
	var n int
	for name, err := range map[string]error{
		"Find":        db.Find(&[]User{}).Error,
		"First":       db.First(&User{}).Error,
		"Create":      db.Create(&User{}).Error,
		"Update":      db.Model(&User{}).Where("true").Update("name", "x").Error,
		"Delete":      db.Where("true").Delete(&User{}).Error,
		"Exec":        db.Exec("delete from users").Error,
		"Raw":         db.Raw("select 1").Scan(&n).Error,
		"Row":         db.Raw("select 1").Row().Scan(&n),
		"Begin":       db.Begin().Error,
		"Transaction": db.Transaction(func(*gorm.DB) error { t.Error("it ran"); return nil }),
		"AutoMigrate": db.AutoMigrate(&User{}),
		"Connection":  db.Connection(func(tx *gorm.DB) error { return tx.First(&User{}).Error }),
		"Prepared":    db.Session(&gorm.Session{PrepareStmt: true}).Raw("select 1").Row().Scan(&n),
		"nil context": db.WithContext(nil).Find(&[]User{}).Error, //nolint:staticcheck // on purpose
	} {
		if !errors.Is(err, tenant.ErrNone) {
			t.Errorf("%s: %v", name, err)
		}
	}
	says := db.AutoMigrate(&User{}).Error()
	if !strings.Contains(says, "tenant.NewContext") || !strings.Contains(says, "tenant.Shared") {
		t.Errorf("AutoMigrate does not say what to do: %s", says)
	}
	rows, err := db.Model(&User{}).Rows()
	if !errors.Is(err, tenant.ErrNone) {
		t.Errorf("Rows: %v", err)
		rows.Close()
	}
}

func TestUnknownAndSuspended(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pgtest.Any(t))
	w.fleet.place("b", "s1", tenant.StateSuspended)
	for id, want := range map[tenant.ID]error{
		"nobody": tenant.ErrUnknown, "b": tenant.ErrSuspended, "Not An ID": tenant.ErrInvalidID,
	} {
		if _, err := first(w.as(t, id)); !errors.Is(err, want) {
			t.Errorf("%s: %v", id, err)
		}
	}
	ctx := tenant.Admit(tenant.NewContext(t.Context(), "b"), tenant.StateSuspended)
	sees(t, w.db.WithContext(ctx), "b")
}

func TestSharedSchema(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pgtest.Any(t))
	if err := openPlain(t, w.dsn[0]).Exec("create table users (id int, name text); insert into users values (1, 'everyone')").Error; err != nil {
		t.Fatal(err)
	}
	sees(t, w.db.WithContext(tenant.Shared(t.Context())), "everyone")
	sees(t, w.as(t, "a"), "a")
}

func TestBareHandleFindsNoTenantsTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pgtest.Any(t))
	handle, err := w.db.DB()
	if err != nil {
		t.Fatal(err)
	}
	if err := handle.Ping(); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := handle.QueryRow("select 1").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if err := handle.QueryRow("select count(*) from users").Scan(&n); err == nil {
		t.Fatal("a bare statement found a tenant's table")
	}
}

func TestForeignTenantInTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pgtest.Any(t))
	for _, other := range []tenant.ID{"b", "c"} {
		err := w.as(t, "a").Transaction(func(tx *gorm.DB) error {
			if err := tx.Create(&User{Name: "half"}).Error; err != nil {
				return err
			}
			_, err := first(tx.WithContext(tenant.NewContext(t.Context(), other)))
			if !errors.Is(err, tenant.ErrMismatch) {
				t.Errorf("%s inside a: %v", other, err)
			}
			return nil
		})
		if err == nil {
			t.Error("the transaction was committed")
		}
		var n int64
		if err := w.as(t, "a").Model(&User{}).Where("name = 'half'").Count(&n).Error; err != nil || n != 0 {
			t.Errorf("%d rows, %v", n, err)
		}
	}
}

func TestInitializeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pgtest.Any(t))
	if err := w.plugin.Initialize(w.db); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if err := w.db.Use(w.plugin); !errors.Is(err, gorm.ErrRegistered) {
		t.Errorf("Use again: %v", err)
	}
	sees(t, w.as(t, "a"), "a")
	if err := w.plugin.Initialize(openPlain(t, w.dsn[0])); err == nil {
		t.Error("one plugin took two databases")
	}
	if err := w.plugin.Close(); err != nil {
		t.Error(err)
	}
	if _, err := first(w.as(t, "a")); err == nil {
		t.Error("a closed plugin served a statement")
	}
	if err := w.db.WithContext(context.Background()).Exec("select 1").Error; err == nil {
		t.Error("a closed plugin served a bare statement")
	}
}
