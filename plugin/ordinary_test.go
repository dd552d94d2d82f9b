package tenantplugin_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// What an ordinary GORM application does, unchanged: the tests in
// ordinary_*_test.go. Each has a tenant of its own in one application.

// Author and what belongs to one use what GORM has to offer.
type Author struct {
	gorm.Model
	Name      string            `gorm:"uniqueIndex"`
	Age       int               `gorm:"check:age >= 0"`
	Settings  map[string]string `gorm:"serializer:json"`
	Books     []Book
	Languages []Language `gorm:"many2many:author_languages"`
	Notes     []Note     `gorm:"polymorphic:Owner"`
	Seen      []string   `gorm:"-"`
}

// BeforeCreate and AfterFind are hooks that use the database.
func (a *Author) BeforeCreate(tx *gorm.DB) error {
	var n int64
	err := tx.Session(&gorm.Session{NewDB: true}).Model(&Author{}).Count(&n).Error
	a.Seen = append(a.Seen, "create")
	return err
}

func (a *Author) AfterFind(*gorm.DB) error {
	a.Seen = append(a.Seen, "find")
	return nil
}

// Book is changed only by who knows its version.
type Book struct {
	ID       int64
	AuthorID uint
	Author   *Author `gorm:"constraint:OnDelete:CASCADE"`
	Title    string
	Version  int
}

// Language is shared by authors.
type Language struct {
	ID   int64
	Code string `gorm:"uniqueIndex"`
}

// Note belongs to anything.
type Note struct {
	ID        int64
	OwnerID   uint
	OwnerType string
	Text      string
}

// noon is the application's idea of the time.
var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

// ledger is an application's own logger.
type ledger struct {
	logger.Interface
	mu    sync.Mutex
	lines []string
}

func (l *ledger) LogMode(logger.LogLevel) logger.Interface { return l }

func (l *ledger) Trace(_ context.Context, _ time.Time, what func() (string, int64), _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text, _ := what()
	l.lines = append(l.lines, text)
}

// application is an ordinary application with the plugin.
type application struct {
	db     *gorm.DB
	plugin *tenantplugin.Plugin
	ledger *ledger
}

func newApplication(t *testing.T) *application {
	t.Helper()
	return newApplicationWith(t, &gorm.Config{}, postgres.Config{})
}

func newApplicationWith(t *testing.T, gc *gorm.Config, pc postgres.Config) *application {
	t.Helper()
	a := &application{ledger: &ledger{Interface: logger.Discard}}
	gc.Logger, gc.NowFunc, gc.TranslateError = a.ledger, func() time.Time { return noon }, true
	pc.DSN = tenantplugin.Database(t, pgtest.Any(t))
	db, err := gorm.Open(postgres.New(pc), gc)
	if err != nil {
		t.Fatal(err)
	}
	a.db, a.plugin = db, tenantplugin.New(tenantplugin.WithModels(&Author{}, &Book{}, &Language{}, &Note{}))
	if err := db.Use(a.plugin); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.plugin.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// tenant makes a tenant with the models' tables.
func (a *application) tenant(t *testing.T, id tenant.ID) *gorm.DB {
	t.Helper()
	if _, err := a.plugin.Registry().Create(t.Context(), tenant.Spec{ID: id}); err != nil {
		t.Fatal(err)
	}
	return a.db.WithContext(tenant.NewContext(t.Context(), id))
}

func ok(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestOrdinaryApplication(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	for name, test := range map[string]func(*testing.T, *gorm.DB){
		"start":        start,
		"hooks":        hooks,
		"errors":       translated,
		"softdelete":   softDelete,
		"serializer":   serializer,
		"relations":    relations,
		"batches":      batches,
		"upsert":       upsert,
		"locks":        locks,
		"serializable": retried,
		"enum":         enum,
	} {
		t.Run(name, func(t *testing.T) { test(t, a.tenant(t, tenant.ID(name))) })
	}
	t.Run("logger", func(t *testing.T) { logged(t, a) })
}

// Extra is migrated by hand.
type Extra struct {
	ID     int64
	Name   string `gorm:"index"`
	Amount float64
}

// What applications do when they start: migrate, look at what is there, seed.
func start(t *testing.T, db *gorm.DB) {
	for range 2 {
		ok(t, db.AutoMigrate(&Author{}, &Book{}, &Language{}, &Note{}, &Extra{}))
	}
	m := db.Migrator()
	if !m.HasTable(&Extra{}) || !m.HasColumn(&Extra{}, "Amount") || !m.HasIndex(&Extra{}, "Name") || !m.HasConstraint(&Book{}, "fk_authors_books") {
		t.Error("the migrator does not find what it made")
	}
	tables, err := m.GetTables()
	if err != nil || len(tables) != 6 {
		t.Errorf("tables: %v, %v", tables, err)
	}
	ok(t, db.Where(Language{Code: "en"}).FirstOrCreate(&Language{}).Error, db.Where(Language{Code: "en"}).FirstOrCreate(&Language{}).Error)
	var n int64
	if err := db.Model(&Language{}).Count(&n).Error; err != nil || n != 1 {
		t.Errorf("%d languages, %v", n, err)
	}
	ok(t, m.RenameColumn(&Extra{}, "amount", "sum"), m.DropColumn(&Extra{}, "sum"), m.DropTable(&Extra{}))
	if m.HasTable(&Extra{}) {
		t.Error("the dropped table is there")
	}
}

func hooks(t *testing.T, db *gorm.DB) {
	a := Author{Name: "x"}
	ok(t, db.Create(&a).Error)
	var found Author
	ok(t, db.First(&found).Error)
	if len(a.Seen) != 1 || len(found.Seen) != 1 || found.Seen[0] != "find" {
		t.Errorf("hooks: %v, %v", a.Seen, found.Seen)
	}
	if !a.CreatedAt.Equal(noon) || !found.UpdatedAt.Equal(noon) {
		t.Errorf("NowFunc was ignored: %v, %v", a.CreatedAt, found.UpdatedAt)
	}
}

func translated(t *testing.T, db *gorm.DB) {
	ok(t, db.Create(&Author{Name: "once"}).Error)
	for what, c := range map[string]struct{ got, want error }{
		"unique":      {db.Create(&Author{Name: "once"}).Error, gorm.ErrDuplicatedKey},
		"foreign key": {db.Create(&Book{AuthorID: 99}).Error, gorm.ErrForeignKeyViolated},
		"check":       {db.Create(&Author{Name: "y", Age: -1}).Error, gorm.ErrCheckConstraintViolated},
		"not found":   {db.First(&Author{}, 99).Error, gorm.ErrRecordNotFound},
		"in a tx": {db.Transaction(func(tx *gorm.DB) error {
			return tx.Create(&Author{Name: "once"}).Error
		}), gorm.ErrDuplicatedKey},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", what, c.got, c.want)
		}
	}
}

func logged(t *testing.T, a *application) {
	db := a.tenant(t, "logger")
	a.ledger.lines = nil
	var n int
	ok(t, db.Find(&[]Language{}).Error, db.Raw("select 7").Scan(&n).Error)
	want := "SELECT * FROM \"languages\"|select 7"
	if got := strings.Join(a.ledger.lines, "|"); got != want {
		t.Errorf("the logger saw %s, want %s", got, want)
	}
}
