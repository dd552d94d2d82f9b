package tenantplugin_test

import (
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// What an ordinary application does that would go round a scope made of
// callbacks alone, in the files hazards_*_test.go. docs/hazards.md has the
// list. Tenants a and b share a shard, c and d live on another.

// hazard is one way to the wrong place.
type hazard struct {
	name string
	run  func(*testing.T, *world)
}

// eachHazard runs hazards side by side, each in a world of its own.
func eachHazard(t *testing.T, hazards []hazard) {
	t.Parallel()
	for _, h := range hazards {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			h.run(t, newWorldWith(t, pgtest.Any(t), &gorm.Config{TranslateError: true}, func(*postgres.Config) {}))
		})
	}
}

// hook is a model whose hook does what the test says.
type hook struct {
	ID   int64
	Name string
	do   func(*gorm.DB) error
}

func (hook) TableName() string { return "users" }

func (h *hook) BeforeCreate(tx *gorm.DB) error { return h.do(tx) }

func plainHook(name string, do func(*gorm.DB) error) *hook { return &hook{Name: name, do: do} }

// regret is a model whose creation fails after its INSERT.
type regret struct {
	ID   int64
	Name string
}

func (regret) TableName() string              { return "users" }
func (*regret) AfterCreate(tx *gorm.DB) error { return errRegret }

// count counts rows in a tenant's schema, past the plugin.
func (w *world) count(t *testing.T, id tenant.ID, tableAndWhere string) (n int) {
	t.Helper()
	query := "select count(*) from " + tenant.SchemaFor(id) + "." + tableAndWhere
	if err := openPlain(t, w.dsn[onShard[id]]).Raw(query).Scan(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

// admin runs SQL on a shard's database, past the plugin.
func (w *world) admin(t *testing.T, shard int, text string) {
	t.Helper()
	if err := openPlain(t, w.dsn[shard]).Exec(text).Error; err != nil {
		t.Fatal(err)
	}
}

// oneConnection makes all tenants of a shard share one connection.
func (w *world) oneConnection(t *testing.T) {
	t.Helper()
	handle, err := w.db.DB()
	if err != nil {
		t.Fatal(err)
	}
	handle.SetMaxOpenConns(1)
}
