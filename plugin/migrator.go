package tenantplugin

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/migrator"
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

// oursIndex is ours for an index and its table.
func (m tenantMigrator) oursIndex(value any, name string, change func() error) error {
	if err := m.ours(value, func() error { return nil }); err != nil {
		return err
	}
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

func (m tenantMigrator) hasSchema() error {
	var n int64
	err := m.query(schemaSQL).Scan(&n).Error
	if err == nil && n == 0 {
		err = errNoSchema
	}
	return err
}

// CreateTable creates tables in the tenant's schema.
func (m tenantMigrator) CreateTable(values ...any) error {
	if err := m.hasSchema(); err != nil {
		return err
	}
	for _, value := range values {
		if err := errors.Join(m.named(value), m.related(value)); err != nil {
			return err
		}
	}
	return m.Migrator.CreateTable(values...)
}

// named refuses a table that is named with another schema.
func (m tenantMigrator) named(value any) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error { return m.checkName(written(stmt)) })
}

// related refuses relations to tables that are named with another schema: foreign
// keys and join tables are made of them.
func (m tenantMigrator) related(value any) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		if stmt.Schema == nil {
			return nil
		}
		for _, r := range stmt.Schema.Relationships.Relations {
			if err := checkRelation(r, m.checkName); err != nil {
				return err
			}
		}
		return nil
	})
}

// HasTable reports whether the tenant has a table.
func (m tenantMigrator) HasTable(value any) bool {
	return m.named(value) == nil && m.Migrator.HasTable(value)
}

// HasColumn reports whether a table of the tenant's has a column.
func (m tenantMigrator) HasColumn(value any, field string) bool {
	return m.named(value) == nil && m.Migrator.HasColumn(value, field)
}

// HasIndex reports whether a table of the tenant's has an index.
func (m tenantMigrator) HasIndex(value any, name string) bool {
	return m.named(value) == nil && m.Migrator.HasIndex(value, name)
}

// HasConstraint reports whether a table of the tenant's has a constraint.
func (m tenantMigrator) HasConstraint(value any, name string) bool {
	return m.named(value) == nil && m.Migrator.HasConstraint(value, name)
}

// TableType describes a table of the tenant's.
func (m tenantMigrator) TableType(value any) (gorm.TableType, error) {
	if err := m.named(value); err != nil {
		return nil, err
	}
	return m.Migrator.TableType(value)
}

// GetIndexes returns the indexes of a table of the tenant's.
func (m tenantMigrator) GetIndexes(value any) ([]gorm.Index, error) {
	if err := m.named(value); err != nil {
		return nil, err
	}
	return m.Migrator.GetIndexes(value)
}

// CreateView creates a view in the tenant's schema.
func (m tenantMigrator) CreateView(name string, option gorm.ViewOption) error {
	if err := errors.Join(m.checkName(name), m.hasSchema()); err != nil {
		return err
	}
	return m.Migrator.CreateView(name, option)
}

// DropView drops a view that the tenant has.
func (m tenantMigrator) DropView(name string) error {
	foreign, err := m.foreign(name)
	if err != nil || foreign {
		return err
	}
	return m.Migrator.DropView(name)
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
	if err := m.related(value); err != nil {
		return err
	}
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
	if err := m.named(value); err != nil {
		return nil, err
	}
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
