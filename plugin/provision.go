package tenantplugin

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/internal/sqltext"
	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/resolver"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// provisioning is what WithModels needs. AutoMigrate asks the catalog about every
// table, column and index: 100 round trips and more for a few models. What it
// executes in an empty schema is the same for each, so the first one is recorded,
// and the registry makes the others by the record (registry.SetScript).
//
// turn is taken by the one that migrates: GORM's AutoMigrate writes to the parsed
// models that all share (schema.ParseIndexes).
type provisioning struct {
	turn   chan struct{}
	recipe registry.Recipe
}

func newProvisioning() provisioning { return provisioning{turn: make(chan struct{}, 1)} }

// modelsRecipe names what AutoMigrate makes of models: a checksum of all that it reads
// there. It is empty if a model cannot be read, which Create will tell.
func modelsRecipe(db *gorm.DB, models []any) string {
	sum := sha256.New()
	for _, m := range models {
		st := &gorm.Statement{DB: db}
		if err := st.Parse(m); err != nil {
			return ""
		}
		fmt.Fprintln(sum, st.Schema.Table)
		for _, f := range st.Schema.Fields {
			if f.DBName != "" {
				fmt.Fprintf(sum, "%q %q %q\n", f.DBName, db.DataTypeOf(f), f.Tag)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(st.Schema.Relationships.Relations)) {
			rel := st.Schema.Relationships.Relations[name]
			fmt.Fprintf(sum, "%s %s %q\n", rel.Type, rel.FieldSchema.Table, rel.Field.Tag)
		}
	}
	return fmt.Sprintf("models:%x", sum.Sum(nil)[:12])
}

// fillNewTenants tells the registry what a new tenant's schema holds.
func (p *Plugin) fillNewTenants(ctx context.Context, db *gorm.DB) error {
	set := p.opts.migrations
	switch {
	case p.reg == nil:
	case set != nil:
		p.reg.SetMigrations(set, p.opts.searchPath, p.migrateUp)
	case len(p.opts.models) > 0:
		return p.fillByModels(ctx, db)
	}
	return nil
}

// fillByModels gives what the models are now a version of its own.
func (p *Plugin) fillByModels(ctx context.Context, db *gorm.DB) (err error) {
	recipe := registry.Recipe{Name: modelsRecipe(db, p.opts.models)}
	if recipe.Name != "" {
		if recipe.Version, err = p.reg.RecipeVersion(ctx, recipe.Name); err != nil {
			return fmt.Errorf("tenantplugin: WithModels: %w", err)
		}
		if p.opts.migrations, err = migrations.NewRecorded(recipe.Version, "models", p.recordModels); err != nil {
			return fmt.Errorf("tenantplugin: WithModels: %w", err)
		}
	}
	p.models.recipe = recipe
	p.reg.SetProvisioner(p.provision)
	p.reg.SetRecipe(recipe)
	return nil
}

// Migrations returns what brings the tenants' schemas to the version that this
// application has, for migrations.Run: the files of WithMigrations, or what AutoMigrate
// does by the models of WithModels, recorded in one tenant of each version that the
// fleet has and played in the others. Nil before Use, and without either option.
func (p *Plugin) Migrations() *migrations.Set {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.db == nil {
		return nil
	}
	return p.opts.migrations
}

// migrateUp runs the migrations in a new tenant's schema, file by file.
func (p *Plugin) migrateUp(ctx context.Context, _ tenant.Tenant) error {
	return p.opts.migrations.Apply(resolver.Primary(ctx), p.handle)
}

// provision creates the models' tables of a new tenant, all or none, and has the
// registry do so from then on.
func (p *Plugin) provision(ctx context.Context, _ tenant.Tenant) error {
	rec := &recorder{}
	err := p.inTurn(ctx, func() error {
		return p.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			empty, err := isEmpty(tx)
			if err != nil {
				return err
			}
			rec.partial = !empty // a crash left it behind
			return rec.on(tx).AutoMigrate(p.opts.models...)
		})
	})
	if err == nil && !rec.partial {
		p.reg.SetScript(p.models.recipe.Name, registry.InScope(strings.Join(rec.texts, ";\n"), p.opts.searchPath))
	}
	return err
}

// recordModels is a migrations.Record.
func (p *Plugin) recordModels(ctx context.Context, tx *sql.Tx) (texts []string, err error) {
	rec := &recorder{}
	db := p.db.Session(&gorm.Session{NewDB: true, Context: ctx})
	db.Statement.ConnPool = tx
	if err := p.inTurn(ctx, func() error { return rec.on(db).AutoMigrate(p.opts.models...) }); err != nil {
		return nil, err
	}
	if rec.partial {
		return nil, errPartial
	}
	return rec.texts, nil
}

var errPartial = errors.New("tenantplugin: AutoMigrate of these models executes more than DDL, which cannot be played in other schemas: migrate by files")

// inTurn calls fn when nobody else migrates models.
func (p *Plugin) inTurn(ctx context.Context, fn func() error) error {
	select {
	case p.models.turn <- struct{}{}:
		defer func() { <-p.models.turn }()
	case <-ctx.Done():
		return fmt.Errorf("wait for another tenant's tables: %w", context.Cause(ctx))
	}
	return fn()
}

const emptySchemaSQL = `SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_depend WHERE refclassid = 'pg_catalog.pg_namespace'::regclass
	AND refobjid = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema()))`

// isEmpty reports whether nothing is in the tenant's schema.
func isEmpty(tx *gorm.DB) (empty bool, err error) {
	err = tx.Raw(emptySchemaSQL).Scan(&empty).Error
	return empty, err
}

// recorder is a transaction that notes what is executed in it.
type recorder struct {
	gorm.ConnPool
	gorm.TxCommitter
	texts   []string
	partial bool // the texts alone do not make what was made
}

// on returns tx, recorded.
func (r *recorder) on(tx *gorm.DB) *gorm.DB {
	pool := tx.Statement.ConnPool
	committer, ok := pool.(gorm.TxCommitter)
	if !ok {
		r.partial = true
		return tx
	}
	r.ConnPool, r.TxCommitter = pool, committer
	tx = tx.Session(&gorm.Session{NewDB: true, Context: tx.Statement.Context})
	tx.Statement.ConnPool = r
	return tx
}

// ExecContext implements gorm.ConnPool.
func (r *recorder) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	r.texts = append(r.texts, text)
	r.partial = r.partial || len(args) > 0 || sqltext.Of(text).Command() != sqltext.DDL
	return r.ConnPool.ExecContext(ctx, text, args...)
}
