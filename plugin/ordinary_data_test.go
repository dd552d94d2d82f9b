package tenantplugin_test

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

func softDelete(t *testing.T, db *gorm.DB) {
	a := Author{Name: "gone"}
	ok(t, db.Create(&a).Error, db.Delete(&a).Error)
	var n, all int64
	ok(t, db.Model(&Author{}).Count(&n).Error, db.Unscoped().Model(&Author{}).Count(&all).Error)
	if n != 0 || all != 1 {
		t.Errorf("%d of %d rows", n, all)
	}
	ok(t, db.Unscoped().Delete(&a).Error, db.Unscoped().Model(&Author{}).Count(&all).Error)
	if all != 0 {
		t.Errorf("%d rows are left", all)
	}
}

func serializer(t *testing.T, db *gorm.DB) {
	ok(t, db.Create(&Author{Name: "x", Settings: map[string]string{"theme": "dark"}}).Error)
	var a Author
	ok(t, db.First(&a).Error)
	if a.Settings["theme"] != "dark" {
		t.Errorf("%v", a.Settings)
	}
}

func relations(t *testing.T, db *gorm.DB) {
	ok(t, db.Create(&Author{
		Name: "x", Books: []Book{{Title: "one"}, {Title: "two"}},
		Languages: []Language{{Code: "en"}}, Notes: []Note{{Text: "n"}},
	}).Error)
	var a Author
	ok(t, db.Preload(clause.Associations).First(&a).Error)
	if len(a.Books) != 2 || len(a.Languages) != 1 || len(a.Notes) != 1 || a.Notes[0].OwnerType != "authors" {
		t.Errorf("%+v", a)
	}
	ok(t, db.Model(&a).Association("Languages").Append(&Language{Code: "de"}))
	if n := db.Model(&a).Association("Languages").Count(); n != 2 {
		t.Errorf("%d languages", n)
	}
	ok(t, db.Model(&a).Association("Languages").Replace(&Language{Code: "fr"}))
	var b []Book
	ok(t, db.Joins("Author").Where(`"Author".name = ?`, "x").Order("books.id").Find(&b).Error)
	if len(b) != 2 || b[1].Author == nil || b[1].Author.Name != "x" {
		t.Errorf("%+v", b)
	}
	ok(t, db.Select(clause.Associations).Delete(&a).Error)
	var n int64
	ok(t, db.Model(&Book{}).Count(&n).Error)
	if n != 0 {
		t.Errorf("%d books are left", n)
	}
}

func batches(t *testing.T, db *gorm.DB) {
	all := make([]Language, 25)
	for i := range all {
		all[i].Code = fmt.Sprintf("%02d", i)
	}
	ok(t, db.CreateInBatches(all, 10).Error)
	var sizes []int
	var page []Language
	ok(t, db.FindInBatches(&page, 10, func(tx *gorm.DB, _ int) error {
		sizes = append(sizes, len(page))
		for i := range page {
			page[i].Code += "x"
		}
		return tx.Save(&page).Error
	}).Error)
	if fmt.Sprint(sizes) != "[10 10 5]" {
		t.Errorf("batches of %v", sizes)
	}
	rows, err := db.Model(&Language{}).Order("id").Rows()
	ok(t, err)
	defer rows.Close()
	n := 0
	for rows.Next() {
		var l Language
		ok(t, db.ScanRows(rows, &l))
		if l.Code != fmt.Sprintf("%02dx", n) {
			t.Errorf("row %d: %+v", n, l)
		}
		n++
	}
	if n != 25 {
		t.Errorf("%d rows, %v", n, rows.Err())
	}
}

func upsert(t *testing.T, db *gorm.DB) {
	put := func(age int) Author {
		a := Author{Name: "x", Age: age}
		ok(t, db.Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: "name"}}, DoUpdates: clause.AssignmentColumns([]string{"age"}),
		}, clause.Returning{}).Create(&a).Error)
		return a
	}
	if a, b := put(1), put(2); a.ID != b.ID || b.Age != 2 {
		t.Errorf("%+v, %+v", a, b)
	}
	ok(t, db.Clauses(clause.OnConflict{DoNothing: true}).Create(&Author{Name: "x"}).Error)
	var a Author
	ok(t, db.Where(Author{Name: "x"}).Assign(Author{Age: 3}).FirstOrCreate(&a).Error)
	if a.Age != 3 {
		t.Errorf("%+v", a)
	}
}

func locks(t *testing.T, db *gorm.DB) {
	ok(t, db.Create(&Author{Name: "x", Books: []Book{{Title: "b"}}}).Error)
	ok(t, db.Transaction(func(tx *gorm.DB) error {
		var b Book
		ok(t, tx.Clauses(clause.Locking{Strength: "UPDATE"}).First(&b).Error)
		err := db.Clauses(clause.Locking{Strength: "UPDATE", Options: "NOWAIT"}).First(&Book{}).Error
		if code(err) != "55P03" {
			t.Errorf("a locked row: %v", err)
		}
		return tx.Model(&b).Update("title", "c").Error
	}))
	// Optimistic: who knows an old version changes nothing.
	change := func(version int) int64 {
		res := db.Model(&Book{}).Where("version = ?", version).Updates(map[string]any{"version": version + 1})
		ok(t, res.Error)
		return res.RowsAffected
	}
	if first, second := change(0), change(0); first != 1 || second != 0 {
		t.Errorf("changed %d and %d rows", first, second)
	}
}

// code returns an error's SQLSTATE.
func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// Two transactions read what the other changes. One of them has to be repeated.
func retried(t *testing.T, db *gorm.DB) {
	ok(t, db.Create(&[]Language{{Code: "a"}, {Code: "b"}}).Error)
	opts := &sql.TxOptions{Isolation: sql.LevelSerializable}
	conflicts := 0
	add := func(tx *gorm.DB) error {
		var n int64
		if err := tx.Model(&Language{}).Count(&n).Error; err != nil {
			return err
		}
		if conflicts == 0 && n == 2 {
			// Meanwhile somebody else does the same.
			conflicts++
			if err := db.Transaction(func(tx *gorm.DB) error {
				ok(t, tx.Model(&Language{}).Count(&n).Error)
				return tx.Create(&Language{Code: "other"}).Error
			}, opts); err != nil {
				return err
			}
		}
		return tx.Create(&Language{Code: fmt.Sprintf("n%d", n)}).Error
	}
	tries, err := 0, error(nil)
	for {
		tries++
		if err = db.Transaction(add, opts); code(err) != "40001" {
			break
		}
	}
	ok(t, err)
	var n int64
	ok(t, db.Model(&Language{}).Where("code = 'n3'").Count(&n).Error)
	if tries != 2 || n != 1 {
		t.Errorf("%d tries, %d rows that know of both", tries, n)
	}
}

// Shirt has a column of the tenant's own type.
type Shirt struct {
	ID   int64
	Size string `gorm:"type:size"`
}

func enum(t *testing.T, db *gorm.DB) {
	ok(t, db.Exec("create type size as enum ('s', 'm', 'l')").Error, db.AutoMigrate(&Shirt{}), db.AutoMigrate(&Shirt{}))
	ok(t, db.Create(&[]Shirt{{Size: "l"}, {Size: "s"}}).Error)
	var sizes []string
	ok(t, db.Model(&Shirt{}).Where("size > ?", "s").Order("size").Pluck("size", &sizes).Error)
	if fmt.Sprint(sizes) != "[l]" {
		t.Errorf("%v", sizes)
	}
	if err := db.Create(&Shirt{Size: "xl"}).Error; code(err) != "22P02" {
		t.Errorf("no such size: %v", err)
	}
}
