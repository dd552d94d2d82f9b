package tenantplugin_test

import (
	"errors"
	"testing"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// A schema in a table's name is found wherever PostgreSQL finds it.
func TestDisguisedTableNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pgtest.Any(t))
	for _, name := range []string{
		"tenant_b.users u",
		"/* /* */ x */ tenant_b.users u",
		"users x --\r, tenant_b.users u",
		`U&"tenant_b".users u`,
		`users x JOIN tenant_b.users u ON true`,
		`users x JOIN users y ON x.name <> E'\'' , tenant_b.users u -- '`,
		"users x JOIN users y ON x.name <> $$'$$, tenant_b.users u -- '",
		"(table tenant_b.users) u",
		"ONLY (tenant_b.users) u",
		"(users x CROSS JOIN tenant_b.users u)",
		`users "join", tenant_b.users u`,
		`users x, ROWS FROM (generate_series(1, 1)) y, tenant_b.users u`,
		"users x TABLESAMPLE system (100), tenant_b.users u",
	} {
		var names []string
		if err := w.as(t, "a").Table(name).Pluck("u.name", &names).Error; !errors.Is(err, tenant.ErrForbidden) {
			t.Errorf("%s: %q, %v", name, names, err)
		}
	}
	db, b := w.as(t, "a"), clause.Table{Name: "tenant_b.users"}
	loot := func() clause.Expr { return gorm.Expr("(SELECT name FROM ? LIMIT 1)", b) }
	var names []string
	for what, err := range map[string]error{
		"Eq":         db.Model(&User{}).Where(clause.Eq{Column: clause.Column{Name: "name"}, Value: loot()}).Pluck("name", &names).Error,
		"Neq":        db.Model(&User{}).Where(clause.Neq{Column: clause.Column{Name: "name"}, Value: loot()}).Pluck("name", &names).Error,
		"Gt":         db.Model(&User{}).Where(clause.Gt{Column: clause.Column{Name: "name"}, Value: loot()}).Pluck("name", &names).Error,
		"Like":       db.Model(&User{}).Where(clause.Like{Column: clause.Column{Name: "name"}, Value: loot()}).Pluck("name", &names).Error,
		"IN":         db.Model(&User{}).Where(clause.IN{Column: clause.Column{Name: "name"}, Values: []any{loot(), "x"}}).Pluck("name", &names).Error,
		"a map":      db.Model(&User{}).Where(map[string]any{"name": loot()}).Pluck("name", &names).Error,
		"ORDER BY":   db.Model(&User{}).Order(clause.OrderBy{Expression: loot()}).Pluck("name", &names).Error,
		"HAVING":     db.Model(&User{}).Group("name").Having("name <> ?", loot()).Pluck("name", &names).Error,
		"Update":     db.Model(&Pet{}).Where("true").Update("name", loot()).Error,
		"Updates":    db.Model(&Pet{}).Where("true").Updates(map[string]any{"name": loot()}).Error,
		"Set":        db.Model(&Pet{}).Where("true").Clauses(clause.Set{{Column: clause.Column{Name: "name"}, Value: loot()}}).Updates(map[string]any{}).Error,
		"Create":     db.Model(&Pet{}).Create(map[string]any{"name": loot()}).Error,
		"OnConflict": db.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "id"}}, DoUpdates: clause.Set{{Column: clause.Column{Name: "name"}, Value: loot()}}}).Create(&Pet{ID: 1}).Error,
	} {
		if !errors.Is(err, tenant.ErrForbidden) {
			t.Errorf("%s: %q, %v", what, names, err)
		}
	}
	var none *map[string]any
	if err := db.Model(&Pet{}).Create(none).Error; err == nil {
		t.Error("a nil map was written")
	}
}
