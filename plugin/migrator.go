package tenantplugin

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/migrator"
	"gorm.io/gorm/schema"
)

// errForeign refuses to change what the search_path finds in another schema.
var errForeign = errors.New("tenantplugin: not in the tenant's schema; migrate shared tables with tenant.Shared")

// tenantMigrator is GORM's PostgreSQL migrator where it looks at one schema
// only. The original finds sequences and types of the same name in any schema,
// and alters and drops what the path finds behind the tenant's schema.
//
// GORM's generic code calls the methods through db.Migrator(), hence these; the
// PostgreSQL code calls its own, so that an override must prepare what the
// original does next (AlterColumn).
type tenantMigrator struct {
	postgres.Migrator
	checkName func(table string) error
}

var (
	_ gorm.Migrator                       = tenantMigrator{}
	_ migrator.BuildIndexOptionsInterface = tenantMigrator{}
)

// newMigrator wraps base, which works on db. A migrator of another kind than
// PostgreSQL's is returned as it is.
func newMigrator(base gorm.Migrator, db *gorm.DB, checkName func(string) error) gorm.Migrator {
	pg, ok := base.(postgres.Migrator)
	if !ok {
		return base
	}
	pg.DB = db
	return tenantMigrator{pg, checkName}
}

// query is for reads, which also run in a dry run.
func (m tenantMigrator) query(text string, args ...any) *gorm.DB {
	tx := m.DB.Session(&gorm.Session{})
	tx.DryRun = false
	return tx.Raw(text, args...)
}

const foreignSQL = `SELECT count(*) FROM pg_catalog.pg_class WHERE oid = to_regclass(?)
	AND relnamespace NOT IN (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema() UNION ALL SELECT pg_my_temp_schema())`

// foreign reports whether the path finds the name in a schema that is not the
// tenant's. A name with its schema written out means that schema, if it may.
func (m tenantMigrator) foreign(name string) (bool, error) {
	if strings.Contains(name, ".") {
		return false, m.checkName(name)
	}
	var n int64
	quoted := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	err := m.query(foreignSQL, quoted).Scan(&n).Error
	return n > 0, err
}

// written returns a statement's table as the model has it: GORM takes a schema
// apart.
func written(stmt *gorm.Statement) string {
	if stmt.TableExpr != nil && strings.Contains(stmt.TableExpr.SQL, ".") {
		return stmt.TableExpr.SQL
	}
	return stmt.Table
}

func (m tenantMigrator) foreignTable(value any) (is bool, err error) {
	err = m.RunWithValue(value, func(stmt *gorm.Statement) error {
		is, err = m.foreign(written(stmt))
		return err
	})
	return is, err
}

// ours runs change if value's table is not in another schema.
func (m tenantMigrator) ours(value any, change func() error) error {
	foreign, err := m.foreignTable(value)
	if err != nil {
		return err
	}
	if foreign {
		return fmt.Errorf("change a table: %w", errForeign)
	}
	return change()
}

// oursIndex is ours for an index.
func (m tenantMigrator) oursIndex(value any, name string, change func() error) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		if stmt.Schema != nil {
			if idx := stmt.Schema.LookIndex(name); idx != nil {
				name = idx.Name
			}
		}
		foreign, err := m.foreign(name)
		if err != nil {
			return err
		}
		if foreign {
			return fmt.Errorf("change index %q: %w", name, errForeign)
		}
		return change()
	})
}

// errNoSchema keeps tables from being made where the path leads otherwise: among
// the connection's temporary ones.
var errNoSchema = errors.New("tenantplugin: the tenant's schema does not exist: create the tenant through the registry")

const schemaSQL = `SELECT count(*) FROM pg_catalog.pg_namespace
	WHERE nspname = current_schema() AND oid <> pg_my_temp_schema()`

// CreateTable creates tables in the tenant's schema.
func (m tenantMigrator) CreateTable(values ...any) error {
	var n int64
	switch err := m.query(schemaSQL).Scan(&n).Error; {
	case err != nil:
		return err
	case n == 0:
		return errNoSchema
	}
	for _, value := range values {
		err := m.RunWithValue(value, func(stmt *gorm.Statement) error { return m.checkName(written(stmt)) })
		if err != nil {
			return err
		}
	}
	return m.Migrator.CreateTable(values...)
}

// DropTable drops the tables that the tenant has.
func (m tenantMigrator) DropTable(values ...any) error {
	own := make([]any, 0, len(values))
	for _, value := range values {
		foreign, err := m.foreignTable(value)
		if err != nil {
			return err
		}
		if !foreign {
			own = append(own, value)
		}
	}
	return m.Migrator.DropTable(own...)
}

// DropIndex drops an index of the tenant's schema.
func (m tenantMigrator) DropIndex(value any, name string) error {
	return m.oursIndex(value, name, func() error { return m.Migrator.DropIndex(value, name) })
}

// RenameIndex renames an index of the tenant's schema.
func (m tenantMigrator) RenameIndex(value any, oldName, newName string) error {
	return m.oursIndex(value, oldName, func() error { return m.Migrator.RenameIndex(value, oldName, newName) })
}

// CreateIndex indexes a table of the tenant's schema.
func (m tenantMigrator) CreateIndex(value any, name string) error {
	return m.ours(value, func() error { return m.Migrator.CreateIndex(value, name) })
}

// RenameTable renames a table of the tenant's schema.
func (m tenantMigrator) RenameTable(oldName, newName any) error {
	return m.ours(oldName, func() error { return m.Migrator.RenameTable(oldName, newName) })
}

// AddColumn adds a column to a table of the tenant's schema.
func (m tenantMigrator) AddColumn(value any, field string) error {
	return m.ours(value, func() error { return m.Migrator.AddColumn(value, field) })
}

// DropColumn drops a column of a table of the tenant's schema.
func (m tenantMigrator) DropColumn(value any, field string) error {
	return m.ours(value, func() error { return m.Migrator.DropColumn(value, field) })
}

// RenameColumn renames a column of a table of the tenant's schema.
func (m tenantMigrator) RenameColumn(value any, oldName, field string) error {
	return m.ours(value, func() error { return m.Migrator.RenameColumn(value, oldName, field) })
}

// CreateConstraint adds a constraint to a table of the tenant's schema.
func (m tenantMigrator) CreateConstraint(value any, name string) error {
	return m.ours(value, func() error { return m.Migrator.CreateConstraint(value, name) })
}

// DropConstraint drops a constraint of a table of the tenant's schema.
func (m tenantMigrator) DropConstraint(value any, name string) error {
	return m.ours(value, func() error { return m.Migrator.DropConstraint(value, name) })
}

const lengthSQL = `SELECT c.column_name, coalesce(8 * nullif(greatest(t.typlen, 0), 0), c.character_maximum_length)
	FROM information_schema.columns c
	JOIN pg_catalog.pg_namespace n ON n.nspname = c.udt_schema
	JOIN pg_catalog.pg_type t ON t.typnamespace = n.oid AND t.typname = c.udt_name
	WHERE c.table_schema = ? AND c.table_name = ?`

// ColumnTypes reports each column once. The original joins types by name only:
// an enum that every tenant has made it report a column once per tenant, with
// the length of any of them.
func (m tenantMigrator) ColumnTypes(value any) ([]gorm.ColumnType, error) {
	all, err := m.Migrator.ColumnTypes(value)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]*migrator.ColumnType, len(all))
	once := make([]gorm.ColumnType, 0, len(all))
	for _, c := range all {
		if _, ok := seen[c.Name()]; ok {
			continue
		}
		seen[c.Name()], _ = c.(*migrator.ColumnType)
		once = append(once, c)
	}
	if len(once) == len(all) {
		return all, nil
	}
	return once, m.fixLengths(value, seen)
}

func (m tenantMigrator) fixLengths(value any, columns map[string]*migrator.ColumnType) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		current, table := m.CurrentSchema(stmt, stmt.Table)
		rows, err := m.query(lengthSQL, current, table).Rows()
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			var length sql.NullInt64
			if err := rows.Scan(&name, &length); err != nil {
				return err
			}
			if c := columns[name]; c != nil {
				c.LengthValue = length
			}
		}
		return rows.Err()
	})
}

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
