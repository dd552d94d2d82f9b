package tenantplugin

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// AlterColumn changes a column's type. If the column takes its values from a
// sequence, that is changed first, here; the original would take the sequence
// of any schema's table of this name, and finds nothing left to do then.
func (m tenantMigrator) AlterColumn(value any, name string) error {
	return m.ours(value, func() error {
		if err := m.alterSequence(value, name); err != nil {
			return err
		}
		return m.Migrator.AlterColumn(value, name)
	})
}

func (m tenantMigrator) alterSequence(value any, name string) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		if stmt.Schema == nil {
			return nil
		}
		field := stmt.Schema.LookUpField(name)
		if field == nil {
			return nil // the original says so
		}
		columns, err := m.ColumnTypes(value)
		if err != nil {
			return err
		}
		for _, c := range columns {
			if auto, _ := c.AutoIncrement(); c.Name() == field.DBName && auto {
				return m.changeSequence(stmt, field, c)
			}
		}
		return nil
	})
}

// changeSequence does what the original's UpdateSequence and DeleteSequence do.
func (m tenantMigrator) changeSequence(stmt *gorm.Statement, field *schema.Field, column gorm.ColumnType) error {
	now, _ := column.ColumnType()
	want := m.DataTypeOf(field)
	if serial, ok := serialTypes[want]; ok && field.AutoIncrement {
		if now == serial {
			return nil
		}
		return m.UpdateSequence(m.DB, stmt, field, serial)
	}
	if field.AutoIncrement || sameType(column.DatabaseTypeName(), want, m.GetTypeAliases(column.DatabaseTypeName())) {
		return nil
	}
	return m.DeleteSequence(m.DB, stmt, field, clause.Expr{SQL: want})
}

var serialTypes = map[string]string{"smallserial": "smallint", "serial": "integer", "bigserial": "bigint"}

// sameType is the original's test of whether a column has to be altered.
func sameType(now, want string, aliases []string) bool {
	if strings.EqualFold(now, want) {
		return true
	}
	for _, alias := range aliases {
		if strings.HasPrefix(want, alias) {
			return true
		}
	}
	return false
}

// UpdateSequence changes the type of a column and of its sequence.
func (m tenantMigrator) UpdateSequence(tx *gorm.DB, stmt *gorm.Statement, field *schema.Field, serialDatabaseType string) error {
	sequence, own, err := m.sequence(tx, stmt, field)
	if err != nil {
		return err
	}
	if sequence != nil && !own {
		return fmt.Errorf("alter column %q: its default's sequence is %w", field.DBName, errForeign)
	}
	kind := clause.Expr{SQL: serialDatabaseType}
	if sequence != nil {
		if err := tx.Exec("ALTER SEQUENCE ? AS ?", sequence, kind).Error; err != nil {
			return fmt.Errorf("alter sequence: %w", err)
		}
	}
	return tx.Exec("ALTER TABLE ? ALTER COLUMN ? TYPE ?", m.CurrentTable(stmt), clause.Column{Name: field.DBName}, kind).Error
}

// DeleteSequence changes the type of a column and takes its sequence away; one
// of another schema stays.
func (m tenantMigrator) DeleteSequence(tx *gorm.DB, stmt *gorm.Statement, field *schema.Field, fileType clause.Expr) error {
	sequence, own, err := m.sequence(tx, stmt, field)
	if err != nil {
		return err
	}
	table, column := m.CurrentTable(stmt), clause.Column{Name: field.DBName}
	if err := tx.Exec("ALTER TABLE ? ALTER COLUMN ? DROP DEFAULT, ALTER COLUMN ? TYPE ?", table, column, column, fileType).Error; err != nil {
		return err
	}
	if sequence == nil || !own {
		return nil
	}
	return tx.Exec("DROP SEQUENCE IF EXISTS ?", sequence).Error
}

// The default's own dependency says which sequence it is, whatever its name and
// the path. An identity column's sequence depends on the column instead, and
// changes with it.
const sequenceSQL = `SELECT n.nspname, s.relname, s.relnamespace = t.relnamespace
	FROM pg_catalog.pg_class t
	JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
	JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND NOT a.attisdropped
	JOIN pg_catalog.pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
	JOIN pg_catalog.pg_depend p ON p.classid = 'pg_catalog.pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_catalog.pg_class'::regclass
	JOIN pg_catalog.pg_class s ON s.oid = p.refobjid AND s.relkind = 'S'
	JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
	WHERE tn.nspname = ? AND t.relname = ? AND a.attname = ?`

// sequence returns the sequence of a column's default, nil if it has none, and
// whether it is in the table's schema.
func (m tenantMigrator) sequence(tx *gorm.DB, stmt *gorm.Statement, field *schema.Field) (name any, own bool, err error) {
	current, table := m.CurrentSchema(stmt, stmt.Table)
	var in, seq string
	err = tx.Raw(sequenceSQL, current, table, field.DBName).Row().Scan(&in, &seq, &own)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("look up the column's sequence: %w", err)
	}
	return clause.Table{Name: in + "." + seq}, own, nil
}
