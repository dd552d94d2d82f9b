package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgscope"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Provisioner fills the schema of a new tenant.
type Provisioner = func(ctx context.Context, t tenant.Tenant) error

// Recipe names what a provisioner makes. The zero value says that nothing is known
// of it.
type Recipe struct {
	// Name tells it from what other versions of the application make, for
	// instance by a checksum. A spare tenant is only taken by a Create with the
	// recipe that it was made by; without a name none is made or taken.
	Name string
	// Version is the Tenant.Version of what it makes, 0 if none is tracked.
	Version int64
}

// Script returns SQL that makes in a new schema what the provisioner makes there.
type Script = func(schema string) string

// scripted is a script with its recipe.
type scripted struct {
	recipe string
	fn     Script
}

// SetProvisioner makes Create call fn once a new tenant's schema exists, and
// before the tenant serves. fn's context names the tenant (tenant.NewContext)
// and admits its state, so that statements run with it land in the new schema.
// An error of fn undoes the creation. After a crash fn runs again for a schema
// that it may have filled in part. nil leaves new schemas empty.
func (r *Registry) SetProvisioner(fn Provisioner) {
	if fn == nil {
		r.provision.Store(nil)
		return
	}
	r.provision.Store(&fn)
}

// SetRecipe says what the provisioner makes. Set the provisioner first.
func (r *Registry) SetRecipe(recipe Recipe) {
	r.recipe.Store(&recipe)
	r.wantSpares()
}

// SetScript makes Create fill a new schema by SQL, in CREATE SCHEMA's own message and
// transaction, instead of calling the provisioner, as long as recipe is the
// name of SetRecipe's, and not empty. fn is given the schema's name, unquoted; what it
// returns runs under the role's own search_path, and must not commit. The provisioner
// still finishes what a crash left behind.
func (r *Registry) SetScript(recipe string, fn Script) { r.script.Store(&scripted{recipe, fn}) }

// scriptFor returns the SQL that fills a new schema, and whether there is any.
func (r *Registry) scriptFor(schema string) (sql string, ok bool) {
	s := r.script.Load()
	if s == nil || s.fn == nil || s.recipe == "" || s.recipe != r.recipe.Load().Name {
		return "", false
	}
	return s.fn(schema), true
}

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

// RecipeVersion returns the number of a recipe that brings none of its own. A recipe
// that is asked for later than another, by any process, has a higher one. The error
// wraps tenant.ErrUnavailable.
func (r *Registry) RecipeVersion(ctx context.Context, name string) (version int64, err error) {
	// Another process may enter it between the statement's look and its insert.
	for range 2 {
		err = r.questions.QueryRow(ctx, r.sql.recipeVersion, name).Scan(&version)
		if !errors.Is(err, pgx.ErrNoRows) {
			break
		}
	}
	if err != nil {
		return 0, failed(ctx, "number the recipe", err)
	}
	return version, nil
}

// recipeName is the recipe's, of tenants with roles another than without.
func (r *Registry) recipeName() string {
	name := r.recipe.Load().Name
	if name != "" && r.roles.Load() {
		name += " with role"
	}
	return name
}

// RecipeVersions returns the numbers that RecipeVersion has given out. Schemas that were
// made at such a version tell it nowhere: only what migrates them enters it.
func (r *Registry) RecipeVersions(ctx context.Context) ([]int64, error) {
	rows, err := r.questions.Query(ctx, r.sql.recipeVersions)
	if err != nil {
		return nil, failed(ctx, "list the recipes", err)
	}
	versions, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, failed(ctx, "list the recipes", err)
	}
	return versions, nil
}
