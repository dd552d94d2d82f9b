package tenantplugin

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// refused returns an error for what would ignore the tenant in the context: a
// table with its schema written out, wherever GORM puts it into a statement.
// What an application writes as SQL is its own.
func (p *Plugin) refused(st *gorm.Statement) error {
	if _, ok := st.Clauses[usingClause]; ok {
		return errUse
	}
	return errors.Join(p.checkTable(st), p.checkClauses(st.Clauses), p.checkJoins(st), p.checkValues(st.Dest))
}

// checkTable looks at the model's table, and at Table's.
func (p *Plugin) checkTable(st *gorm.Statement) error {
	if st.TableExpr == nil {
		if !strings.Contains(st.Table, ".") {
			return nil
		}
		return p.checkName(st.Table)
	}
	for _, v := range st.TableExpr.Vars {
		if e, ok := v.(clause.Expr); ok {
			if err := p.checkName(e.SQL); err != nil {
				return err
			}
		}
		if err := p.checkValue(v); err != nil {
			return err
		}
	}
	return p.checkName(st.TableExpr.SQL)
}

// checkClauses looks at the clauses that can bring tables of their own. An
// association over a join table makes a FROM.
func (p *Plugin) checkClauses(clauses map[string]clause.Clause) error {
	for _, c := range clauses {
		if err := p.checkValue(c.Expression); err != nil {
			return err
		}
	}
	return nil
}

// checkValue looks for tables in a clause, an expression, or a value of one.
func (p *Plugin) checkValue(value any) error {
	switch v := value.(type) {
	case clause.Table:
		return p.checkName(v.Name)
	case clause.From:
		return errors.Join(checkAll(p, v.Tables), checkAll(p, v.Joins))
	case clause.Join:
		return errors.Join(p.checkName(v.Table.Name), p.checkValue(v.Expression), checkAll(p, v.ON.Exprs))
	case clause.Insert:
		return p.checkName(v.Table.Name)
	case clause.Update:
		return p.checkName(v.Table.Name)
	case clause.Select:
		return p.checkValue(v.Expression)
	case clause.Where:
		return checkAll(p, v.Exprs)
	case clause.AndConditions:
		return checkAll(p, v.Exprs)
	case clause.OrConditions:
		return checkAll(p, v.Exprs)
	case clause.NotConditions:
		return checkAll(p, v.Exprs)
	case clause.Expr:
		return checkAll(p, v.Vars)
	case clause.NamedExpr:
		return checkAll(p, v.Vars)
	case sql.NamedArg:
		return p.checkValue(v.Value)
	case []any:
		return checkAll(p, v)
	case map[string]any:
		return checkAll(p, slices.Collect(maps.Values(v)))
	}
	return p.checkCondition(value)
}

// checkCondition is checkValue for the clauses and conditions that compare or assign.
func (p *Plugin) checkCondition(value any) error {
	compares := func(column, value any) error { return errors.Join(p.checkValue(column), p.checkValue(value)) }
	switch v := value.(type) {
	case clause.Eq:
		return compares(v.Column, v.Value)
	case clause.Neq:
		return compares(v.Column, v.Value)
	case clause.Gt:
		return compares(v.Column, v.Value)
	case clause.Gte:
		return compares(v.Column, v.Value)
	case clause.Lt:
		return compares(v.Column, v.Value)
	case clause.Lte:
		return compares(v.Column, v.Value)
	case clause.Like:
		return compares(v.Column, v.Value)
	case clause.IN:
		return errors.Join(p.checkValue(v.Column), checkAll(p, v.Values))
	case clause.OrderBy:
		return p.checkValue(v.Expression)
	case clause.GroupBy:
		return checkAll(p, v.Having)
	case clause.Set:
		return checkAll(p, v)
	case clause.Assignment:
		return p.checkValue(v.Value)
	case clause.OnConflict:
		return errors.Join(p.checkValue(v.DoUpdates), p.checkValue(v.Where), p.checkValue(v.TargetWhere))
	}
	return nil
}

// checkValues looks at what a statement writes, where that is no model's.
func (p *Plugin) checkValues(dest any) error {
	switch v := dest.(type) {
	case map[string]any:
		return p.checkValue(v)
	case []map[string]any:
		return checkAll(p, v)
	case *map[string]any:
		if v != nil {
			return p.checkValue(*v)
		}
	case *[]map[string]any:
		if v != nil {
			return checkAll(p, *v)
		}
	}
	return nil
}

func checkAll[T any](p *Plugin, values []T) error {
	for _, v := range values {
		if err := p.checkValue(v); err != nil {
			return err
		}
	}
	return nil
}

// checkJoins looks at the relations that Joins names, also nested ones
// ("Manager.Company").
func (p *Plugin) checkJoins(st *gorm.Statement) error {
	for _, j := range st.Joins {
		if err := checkAll(p, j.Conds); err != nil {
			return err
		}
		if err := p.checkValue(j.Expression); err != nil {
			return err
		}
		for s, names := st.Schema, strings.Split(j.Name, "."); s != nil && len(names) > 0; names = names[1:] {
			relation := s.Relationships.Relations[names[0]]
			if relation == nil {
				break
			}
			if err := checkRelation(relation, p.checkName); err != nil {
				return err
			}
			s = relation.FieldSchema
		}
	}
	return nil
}

// checkRelation checks the names of a relation's tables.
func checkRelation(r *schema.Relationship, checkName func(string) error) error {
	if r.JoinTable != nil {
		if err := checkName(r.JoinTable.Table); err != nil {
			return err
		}
	}
	return checkName(r.FieldSchema.Table)
}

// checkName refuses a table name with a schema that is not shared on purpose.
// Several names may stand in it, as Table takes them.
func (p *Plugin) checkName(name string) error {
	if !strings.Contains(name, ".") {
		return nil
	}
	for _, schema := range newFromList(name).schemas() {
		if !p.mayName(schema) {
			return fmt.Errorf("%w: table %q names a schema; the tenant's comes from the context, shared ones are named with WithSearchPath",
				tenant.ErrForbidden, shown(name))
		}
	}
	return nil
}

// maxShown is how much of a refused table name an error repeats.
const maxShown = 100

// shown returns a table name without the quotes that GORM put round its parts,
// bounded.
func shown(name string) string {
	name = strings.ReplaceAll(name, `"`, "")
	if len(name) > maxShown {
		return strings.ToValidUTF8(name[:maxShown], "") + "..."
	}
	return name
}

// mayName reports whether SQL may name a schema: PostgreSQL's own and those
// that are shared on purpose.
func (p *Plugin) mayName(schema string) bool {
	switch schema {
	case "pg_catalog", "information_schema", p.opts.sharedSchema:
		return true
	}
	return slices.Contains(p.opts.searchPath, schema)
}
