package tenantplugin

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/internal/sqltext"
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
	recipe string
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
func (p *Plugin) fillNewTenants(db *gorm.DB) {
	set := p.opts.migrations
	switch {
	case p.reg == nil:
	case set != nil:
		p.reg.SetMigrations(set, p.opts.searchPath, p.migrateUp)
	case len(p.opts.models) > 0:
		p.models.recipe = modelsRecipe(db, p.opts.models)
		p.reg.SetProvisioner(p.provision)
		p.reg.SetRecipe(registry.Recipe{Name: p.models.recipe})
	}
}

// migrateUp runs the migrations in a new tenant's schema, file by file.
func (p *Plugin) migrateUp(ctx context.Context, _ tenant.Tenant) error {
	return p.opts.migrations.Apply(resolver.Primary(ctx), p.handle)
}

// provision creates the models' tables of a new tenant, all or none, and has the
// registry do so from then on.
func (p *Plugin) provision(ctx context.Context, _ tenant.Tenant) error {
	select {
	case p.models.turn <- struct{}{}:
		defer func() { <-p.models.turn }()
	case <-ctx.Done():
		return fmt.Errorf("wait for another tenant's tables: %w", context.Cause(ctx))
	}
	rec := &recorder{}
	err := p.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		empty, err := isEmpty(tx)
		if err != nil {
			return err
		}
		rec.partial = !empty // a crash left it behind
		return rec.on(tx).AutoMigrate(p.opts.models...)
	})
	if err == nil && !rec.partial {
		p.reg.SetScript(p.models.recipe, registry.InScope(strings.Join(rec.texts, ";\n"), p.opts.searchPath))
	}
	return err
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
