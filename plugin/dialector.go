package tenantplugin

import (
	"errors"
	"fmt"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/resolver"
)

// dialector is GORM's PostgreSQL dialector where it keeps errors and schemas
// apart that the original loses.
type dialector struct {
	*postgres.Dialector
	checkName func(table string) error
}

var (
	_ gorm.Dialector                     = (*dialector)(nil)
	_ gorm.SavePointerDialectorInterface = (*dialector)(nil)
	_ gorm.ErrorTranslator               = (*dialector)(nil)
)

// SavePoint reports its error, which the original drops: code that believes in
// a savepoint that was never made rolls back too little.
func (d *dialector) SavePoint(tx *gorm.DB, name string) error {
	return tx.Exec("SAVEPOINT " + name).Error
}

// RollbackTo also runs if the context has ended since, and ends the whole
// transaction if it fails: what was to be undone must not be committed.
func (d *dialector) RollbackTo(tx *gorm.DB, name string) error {
	detached := tx.Session(&gorm.Session{NewDB: true, Context: withoutCancel(tx.Statement.Context)})
	err := detached.Exec("ROLLBACK TO SAVEPOINT " + name).Error
	if err == nil {
		return nil
	}
	err = fmt.Errorf("roll back to savepoint: %w", err)
	if c, ok := tx.Statement.ConnPool.(gorm.TxCommitter); ok {
		err = errors.Join(err, c.Rollback())
	}
	return err
}

// Migrator looks at and changes the tenant's own schema, on the primary.
func (d *dialector) Migrator(db *gorm.DB) gorm.Migrator {
	db = db.WithContext(resolver.Primary(db.Statement.Context))
	return newMigrator(d.Dialector.Migrator(db), db, d.checkName)
}
