package tenantplugin

import (
	"errors"
	"fmt"
	"regexp"
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
	return errors.Join(p.checkTable(st), p.checkClauses(st.Clauses), p.checkJoins(st))
}

// checkTable looks at the model's table, and at Table's.
func (p *Plugin) checkTable(st *gorm.Statement) error {
	if st.TableExpr == nil {
		if !strings.Contains(st.Table, ".") {
			return nil
		}
		return p.checkName(st.Table)
	}
	if err := p.checkVars(st.TableExpr.Vars); err != nil {
		return err
	}
	return p.checkName(st.TableExpr.SQL)
}

// checkClauses looks at the clauses that can bring tables of their own. An
// association over a join table makes a FROM.
func (p *Plugin) checkClauses(clauses map[string]clause.Clause) error {
	if from, ok := clauses["FROM"].Expression.(clause.From); ok {
		for _, t := range from.Tables {
			if err := p.checkName(t.Name); err != nil {
				return err
			}
		}
		for _, j := range from.Joins {
			if err := p.checkName(j.Table.Name); err != nil {
				return err
			}
		}
	}
	if insert, ok := clauses["INSERT"].Expression.(clause.Insert); ok {
		return p.checkName(insert.Table.Name)
	}
	if update, ok := clauses["UPDATE"].Expression.(clause.Update); ok {
		return p.checkName(update.Table.Name)
	}
	return nil
}

// checkJoins looks at the relations that Joins names, also nested ones
// ("Manager.Company").
func (p *Plugin) checkJoins(st *gorm.Statement) error {
	for _, j := range st.Joins {
		if err := p.checkVars(j.Conds); err != nil {
			return err
		}
		for s, names := st.Schema, strings.Split(j.Name, "."); s != nil && len(names) > 0; names = names[1:] {
			relation := s.Relationships.Relations[names[0]]
			if relation == nil {
				break
			}
			if err := p.checkRelation(relation); err != nil {
				return err
			}
			s = relation.FieldSchema
		}
	}
	return nil
}

func (p *Plugin) checkRelation(r *schema.Relationship) error {
	if r.JoinTable != nil {
		if err := p.checkName(r.JoinTable.Table); err != nil {
			return err
		}
	}
	return p.checkName(r.FieldSchema.Table)
}

// checkVars looks for tables among the values of an expression.
func (p *Plugin) checkVars(vars []any) error {
	for _, v := range vars {
		if t, ok := v.(clause.Table); ok {
			if err := p.checkName(t.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkName refuses a table name with a schema that is not shared on purpose.
// Several names may stand in it, as Table takes them.
func (p *Plugin) checkName(name string) error {
	if !strings.Contains(name, ".") {
		return nil
	}
	found := qualified.FindAllStringSubmatch(name, -1)
	if !strings.Contains(name, "(") { // no subquery, whose columns look alike
		found = append(found, listed.FindAllStringSubmatch(name, -1)...)
	}
	for _, m := range found {
		if !p.mayName(m[1] + m[2]) {
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

// withSchema matches a name with a schema, in quotes or not.
const withSchema = `\s*(?:"([^"]+)"|([\pL_][\pL\pN_$]*))\s*\.\s*["\pL_]`

var (
	qualified = regexp.MustCompile(`(?i)(?:^|\b(?:only|join|lateral)\b)` + withSchema)
	listed    = regexp.MustCompile(`,` + withSchema)
)

// mayName reports whether SQL may name a schema: PostgreSQL's own and those
// that are shared on purpose.
func (p *Plugin) mayName(schema string) bool {
	switch schema {
	case "pg_catalog", "information_schema", p.opts.sharedSchema:
		return true
	}
	return slices.Contains(p.opts.searchPath, schema)
}
