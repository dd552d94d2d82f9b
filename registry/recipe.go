package registry

import (
	"fmt"

	"github.com/gormtenancy/gormtenancy/internal/pgscope"
	"github.com/gormtenancy/gormtenancy/migrations"
)

// SetMigrations makes Create bring a new schema to the latest version of a set, in
// CREATE SCHEMA's own message where the set allows that. apply is the provisioner
// otherwise, and where a crash left something behind: it runs what the tenant
// lacks, file by file (migrations.Set.Apply). The schemas of visible are searched
// behind the tenant's own.
func (r *Registry) SetMigrations(set *migrations.Set, visible []string, apply Provisioner) {
	recipe := Recipe{Name: "goose:" + set.Checksum(), Version: set.Latest()}
	r.SetProvisioner(apply)
	if sql, ok := set.Script(); ok {
		r.SetScript(recipe.Name, InScope(sql, visible))
	}
	r.SetRecipe(recipe)
}

// InScope returns the script that runs ddl under the search path of a tenant's
// statement, the schemas of visible behind its own. Temporary tables that the
// connection has of another's go first.
func InScope(ddl string, visible []string) Script {
	return func(schema string) string {
		return fmt.Sprintf("DISCARD TEMP;\nSELECT pg_catalog.set_config('search_path', %s, true);\n%s", pgscope.PathLiteral(schema, visible), ddl)
	}
}
