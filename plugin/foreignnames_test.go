package tenantplugin_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// GORM puts a model's name into statements of other models, too.
type foreignPet struct {
	ID     int64
	UserID int64
	Name   string
	Owner  *foreignOwner `gorm:"foreignKey:UserID"`
}

func (foreignPet) TableName() string { return "tenant_b.pets" }

type foreignOwner struct {
	ID   int64
	Name string
	Pet  foreignPet `gorm:"foreignKey:UserID"`
	Pets []Pet      `gorm:"many2many:tenant_b.links;joinForeignKey:user_id;joinReferences:pet_id"`
}

func (foreignOwner) TableName() string { return "users" }

type petOwner struct {
	ID     int64
	UserID int64
	User   foreignOwner
}

func (petOwner) TableName() string { return "pets" }

type lonePet struct {
	ID     int64
	UserID int64
	User   foreignUser
}

func (lonePet) TableName() string { return "pets" }

type owner struct {
	ID   int64
	Pets []Pet `gorm:"many2many:tenant_b.made;joinForeignKey:user_id;joinReferences:pet_id"`
}

func TestForeignNamesInsideStatements(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pgtest.Any(t))
	w.admin(t, 0, `create table tenant_b.links (user_id bigint, pet_id bigint, primary key (user_id, pet_id)); insert into tenant_b.links values (1, 1);
		create view tenant_b.v as select 1; create index by_name on tenant_b.pets (name)`)
	db, b := w.as(t, "a"), clause.Table{Name: "tenant_b.users"}
	foreign := db.Model(&foreignUser{}).Select("name").Limit(1)
	var names []string
	for what, err := range map[string]error{
		"Joins":         db.Joins("Pet").Find(&[]foreignOwner{}).Error,
		"InnerJoins":    db.InnerJoins("Pet").Find(&[]foreignOwner{}).Error,
		"nested Joins":  db.Joins("User").Joins("User.Pet").Find(&[]petOwner{}).Error,
		"Preload":       db.Preload("Pets").First(&foreignOwner{}, 1).Error,
		"Association":   db.Model(&foreignOwner{ID: 1}).Association("Pets").Find(&[]Pet{}),
		"Append":        db.Model(&foreignOwner{ID: 1}).Association("Pets").Append(&Pet{Name: "x"}),
		"Clear":         db.Model(&foreignOwner{ID: 1}).Association("Pets").Clear(),
		"FROM":          db.Model(&User{}).Clauses(clause.From{Tables: []clause.Table{b}}).Pluck("name", &names).Error,
		"FROM's join":   db.Model(&User{}).Clauses(clause.From{Joins: []clause.Join{{Table: b}}}).Pluck("name", &names).Error,
		"INSERT":        db.Clauses(clause.Insert{Table: b}).Create(&User{Name: "x"}).Error,
		"UPDATE":        db.Clauses(clause.Update{Table: b}).Model(&User{}).Where("true").Update("name", "x").Error,
		"Table's value": db.Table("?", b).Pluck("name", &names).Error,
		"an expression": db.Table("?", gorm.Expr("tenant_b.users")).Pluck("name", &names).Error,
		"a value in it": db.Table("?", gorm.Expr("?", b)).Pluck("name", &names).Error,
		"a named value": db.Table("@t", sql.Named("t", b)).Pluck("name", &names).Error,
		"a map's value": db.Table("@t", map[string]any{"t": b}).Pluck("name", &names).Error,
		"SELECT":        db.Model(&User{}).Select("(select name from ? limit 1)", b).Scan(&names).Error,
		"WHERE":         db.Model(&User{}).Where("exists (select 1 from ?)", b).Pluck("name", &names).Error,
		"a condition":   db.Model(&User{}).Where("true").Or(db.Not("exists (select 1 from @t)", sql.Named("t", b))).Pluck("name", &names).Error,
		"a SELECT":      db.Model(&User{}).Clauses(clause.Select{Expression: clause.Expr{SQL: "(select name from ? limit 1)", Vars: []any{b}}}).Scan(&names).Error,
		"a join":        db.Model(&User{}).Clauses(clause.From{Joins: []clause.Join{{Expression: clause.Expr{SQL: "JOIN ? x ON true", Vars: []any{b}}}}}).Pluck("x.name", &names).Error,
		"Joins' map":    db.Model(&User{}).Joins("JOIN @t AS x ON true", map[string]any{"t": b}).Pluck("x.name", &names).Error,
		"Joins' nested": db.Model(&User{}).Joins("JOIN ? AS x ON true", gorm.Expr("?", b)).Pluck("x.name", &names).Error,
		"Joins' value":  db.Model(&User{}).Joins("JOIN ? AS x ON true", b).Pluck("x.name", &names).Error,
		"DropView":      db.Migrator().DropView("tenant_b.v"),
		"CreateView":    db.Migrator().CreateView("tenant_b.w", gorm.ViewOption{Query: db.Model(&User{})}),
		"DropIndex":     db.Migrator().DropIndex("tenant_b.pets", "by_name"),
		"its model":     db.Migrator().DropIndex(&foreignPet{}, "by_name"),
		"RenameIndex":   db.Migrator().RenameIndex("tenant_b.pets", "by_name", "z"),
		"a foreign key": db.Migrator().CreateConstraint(&lonePet{}, "User"),
		"CreateTable":   db.Migrator().CreateTable(&owner{}),
		"AutoMigrate":   db.AutoMigrate(&lonePet{}),
		"ColumnTypes":   errorOf(db.Migrator().ColumnTypes("tenant_b.users")),
		"GetIndexes":    errorOf(db.Migrator().GetIndexes(&foreignUser{})),
		"TableType":     errorOf(db.Migrator().TableType(&foreignUser{})),
	} {
		if !errors.Is(err, tenant.ErrForbidden) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"a subquery in Table":  db.Table("(?) AS u", foreign).Pluck("name", &names).Error,
		"a subquery in Select": db.Model(&User{}).Select("(?)", foreign).Scan(&names).Error,
		"a subquery in Where":  db.Model(&User{}).Where("name IN (?)", foreign).Pluck("name", &names).Error,
		"a generic subquery":   db.Model(&User{}).Where("name IN (?)", gorm.G[foreignUser](db).Select("name")).Pluck("name", &names).Error,
	} {
		if err == nil || !strings.Contains(err.Error(), "statement is not allowed") {
			t.Errorf("%s: %v", what, err)
		}
	}
	m := db.Migrator()
	if m.HasTable("tenant_b.users") || m.HasTable(&foreignUser{}) || m.HasColumn(&foreignUser{}, "name") || m.HasIndex(&foreignUser{}, "users_name_key") || m.HasConstraint(&foreignUser{}, "users_pkey") {
		t.Error("the migrator tells of another tenant's table")
	}
	if len(names) > 0 || w.count(t, "b", "users") != 1 || w.count(t, "b", "links") != 1 || w.count(t, "b", "v") != 1 {
		t.Errorf("read %q, or tenant b was changed", names)
	}
}

// A view of the shared schema is not the tenant's to drop.
func TestSharedViewsStay(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, pgtest.Any(t), &gorm.Config{}, func(*postgres.Config) {}, tenantplugin.WithSearchPath("public"))
	w.admin(t, 0, "create view public.pv as select 1")
	m := w.as(t, "a").Migrator()
	ok(t, m.DropView("pv"), m.CreateView("own", gorm.ViewOption{Query: w.as(t, "a").Model(&User{})}), m.DropView("own"))
	ok(t, openPlain(t, w.dsn[0]).Exec("select * from public.pv").Error)
}
