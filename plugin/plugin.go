package tenantplugin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"gorm.io/gorm"
	"gorm.io/plugin/dbresolver"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/resolver"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Name is the plugin's name in gorm.Config.Plugins.
const Name = "gormtenancy"

// Plugin is a gorm.Plugin. Make it with New, give it to one db.Use.
type Plugin struct {
	opts options

	models     provisioning
	unwatch    func() // the registry's changes of schemas
	endMetrics func()
	migrated   migrated

	// mu guards what follows. It is held throughout Initialize.
	mu     sync.Mutex
	db     *gorm.DB
	reg    *registry.Registry
	owned  bool // reg was opened here
	router *resolver.Router
	pools  resolver.Pools
	handle *sql.DB
}

// New returns a plugin for db.Use.
func New(opts ...Option) *Plugin {
	p := &Plugin{models: newProvisioning(), unwatch: func() {}, endMetrics: func() {}}
	for _, o := range opts {
		if o != nil {
			o(&p.opts)
		}
	}
	if p.opts.logger == nil {
		p.opts.logger = slog.Default()
	}
	if p.opts.sharedSchema == "" {
		p.opts.sharedSchema = "public"
	}
	return p
}

// Name implements gorm.Plugin.
func (p *Plugin) Name() string { return Name }

// Registry returns the registry: the one of WithRegistry, or the one that Use
// opened in the application's database. Nil before Use and with WithDirectory.
func (p *Plugin) Registry() *registry.Registry {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reg
}

// Stats returns a snapshot of every connection pool that is open.
func (p *Plugin) Stats() []resolver.PoolStats {
	p.mu.Lock()
	router := p.router
	p.mu.Unlock()
	if router == nil {
		return nil
	}
	return router.Stats()
}

// Replicas returns what is known of every replica that is in use.
func (p *Plugin) Replicas() []resolver.ReplicaStats {
	p.mu.Lock()
	router := p.router
	p.mu.Unlock()
	if router == nil {
		return nil
	}
	return router.Replicas()
}

// Close closes the connections, and the registry if Use opened it. Closing
// the *sql.DB of db.DB() does the same. It waits for connections in use.
func (p *Plugin) Close() error {
	p.mu.Lock()
	handle := p.handle
	p.mu.Unlock()
	if handle == nil {
		return nil
	}
	return handle.Close()
}

// Initialize implements gorm.Plugin; db.Use calls it. A second call for the
// same database has no effect.
func (p *Plugin) Initialize(db *gorm.DB) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ours := poolOf(db); ours != nil {
		if ours.Router() == p.router {
			return nil
		}
		return errors.New("tenantplugin: this database has the plugin already")
	}
	if p.db != nil {
		return p.second(db)
	}
	if err := p.opts.validate(); err != nil {
		return err
	}
	if _, ok := db.Plugins[resolverName]; ok {
		return errors.New("tenantplugin: dbresolver is registered already: remove it, and give the replicas to the registry (AddShard); tenantplugin registers dbresolver itself")
	}
	base, err := readDialector(db)
	if err != nil {
		return err
	}
	return p.install(db, base)
}

// second refuses another database. If gorm.Open was given the first one's
// gorm.Config, it has just replaced the first one's pool: put it back.
func (p *Plugin) second(db *gorm.DB) error {
	err := errors.New("tenantplugin: one plugin serves one gorm.DB: make another with New, and give each gorm.Open a gorm.Config of its own")
	if db.Config != p.db.Config {
		return err
	}
	if stray, dbErr := db.DB(); dbErr == nil {
		err = errors.Join(err, stray.Close())
	}
	db.Config.ConnPool = p.db.Statement.ConnPool
	return err
}

// install puts the layers in place. If it fails, what it opened is closed; GORM
// cannot take callbacks back, so db is to be opened anew.
func (p *Plugin) install(db *gorm.DB, base *source) (err error) {
	if p.opts.roles {
		if err := base.strict(); err != nil {
			return err
		}
	}
	// There is no caller's context: gorm.Plugin has none.
	ctx := context.Background()
	dir, home, err := p.openDirectory(ctx, base)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			p.closeOwned()
			p.reg, p.owned, p.router, p.handle = nil, false, nil, nil
		}
	}()
	cfg := resolver.Config{
		Directory: dir, Home: home, SharedSchema: p.opts.sharedSchema, Logger: p.opts.logger,
		Connect:  base.connect(p.opts.searchPath, p.opts.pooler),
		Prepared: base.prepared(),
		MaxConns: p.opts.maxConns, MaxAge: p.opts.maxAge, MaxTenants: p.opts.maxTenants,
		MaxTotal: p.opts.maxTotal, MaxPerServer: p.opts.maxPerServer,
		MaxIdle: p.opts.maxIdle, LeakAfter: p.opts.leakAfter,
		MinVersion: p.opts.minVersion, Governor: p.opts.governor,
		OnClose: p.closeOwned,
	}
	if p.opts.roles {
		cfg.ConnectAs = base.connectAs(p.opts.searchPath, p.opts.pooler)
	}
	if err := p.measuring(ctx); err != nil {
		return fmt.Errorf("tenantplugin: WithMetrics: %w", err)
	}
	if p.opts.collector != nil {
		cfg.Meter = meter{p.opts.collector}
	}
	if p.router, err = resolver.New(cfg); err != nil {
		return err
	}
	p.handle = sql.OpenDB(p.router)
	p.pools = resolver.NewPools(p.handle, p.router)
	if err := p.attach(db, base); err != nil {
		return errors.Join(err, p.handle.Close())
	}
	if err := p.fillNewTenants(ctx, db); err != nil {
		return errors.Join(err, p.handle.Close())
	}
	p.db = db
	if p.reg != nil && p.opts.roles {
		p.reg.SetRoles(true)
	}
	if p.reg != nil {
		p.unwatch = p.reg.OnSchemaChange(p.router.Wrote)
	}
	return nil
}

// openDirectory returns where tenants are looked up, and the home shard.
func (p *Plugin) openDirectory(ctx context.Context, base *source) (resolver.Directory, tenant.Shard, error) {
	home := tenant.Shard{Name: homeShard, Region: p.opts.region, Primary: base.dsn}
	switch {
	case p.opts.directory != nil:
		return p.opts.directory, home, nil
	case p.opts.registry != nil:
		p.reg = p.opts.registry
		if p.opts.region != "" {
			p.reg.SetRegion(p.opts.region)
		}
		return p.reg, home, nil
	case base.config == nil:
		return nil, home, errors.New("tenantplugin: the control plane needs a DSN: open GORM with postgres.Open, or say WithRegistry and give postgres.Config the shard's DSN beside its Conn")
	}
	reg, err := registry.Open(ctx, registry.Config{
		ConnConfig: base.config.Copy(), HomeShard: homeShard, Region: p.opts.region, Logger: p.opts.logger,
	})
	if err != nil {
		return nil, home, fmt.Errorf("tenantplugin: open the registry in the application's database: %w", err)
	}
	p.reg, p.owned = reg, true
	return reg, home, nil
}

// homeShard names the application's own database.
const homeShard = "default"

func (p *Plugin) closeOwned() {
	p.unwatch()
	p.endMetrics()
	if p.owned {
		p.reg.Close()
	}
}

// attach makes db use the pools. If it fails, db has its own pool again, for
// the application to close.
func (p *Plugin) attach(db *gorm.DB, base *source) (err error) {
	old, _ := db.DB()
	was := db.Config.Dialector
	ours := &dialector{base.dialector, p.checkName}
	db.Config.Dialector = ours
	former := setPool(db, p.pools.Primary)
	defer func() {
		if err != nil {
			setPool(db, former)
			db.Config.Dialector = was
		}
	}()
	if err := useResolver(db, &poolDialector{ours, p.pools.Read}); err != nil {
		return err
	}
	if err := p.register(db); err != nil {
		return err
	}
	if old != nil && base.config != nil {
		carrySettings(old, p.handle)
		if err := old.Close(); err != nil {
			return fmt.Errorf("close the former pool: %w", err)
		}
	}
	return nil
}

// resolverName is dbresolver's name in gorm.Config.Plugins and of its
// callbacks.
const resolverName = "gorm:db_resolver"

// useResolver registers stock dbresolver with our two pools. Its replica is
// opened as a database of its own, with db's configuration; the plugins used
// so far are kept out of that, or they would be initialised twice.
func useResolver(db *gorm.DB, read *poolDialector) error {
	plugins := db.Config.Plugins
	db.Config.Plugins = map[string]gorm.Plugin{}
	err := db.Use(dbresolver.Register(dbresolver.Config{
		Replicas: []gorm.Dialector{read},
	}))
	for name, plugin := range db.Config.Plugins {
		plugins[name] = plugin
	}
	db.Config.Plugins = plugins
	return err
}

// poolDialector opens a pool that is open already.
type poolDialector struct {
	*dialector
	pool gorm.ConnPool
}

// Initialize implements gorm.Dialector.
func (d *poolDialector) Initialize(db *gorm.DB) error {
	db.ConnPool = d.pool
	return nil
}

// poolOf returns our pool if db has one.
func poolOf(db *gorm.DB) *resolver.Pool {
	cp := db.ConnPool
	if ps, ok := cp.(*gorm.PreparedStmtDB); ok {
		cp = ps.ConnPool
	}
	p, _ := cp.(*resolver.Pool)
	return p
}

// setPool replaces db's connection pool, beneath GORM's prepared statements if
// it keeps any, and returns the former one. Statements that were prepared on
// that are forgotten: all sessions share one store of them.
func setPool(db *gorm.DB, p gorm.ConnPool) (former gorm.ConnPool) {
	if ps, ok := db.ConnPool.(*gorm.PreparedStmtDB); ok {
		ps.Close()
		former, ps.ConnPool = ps.ConnPool, p
	} else {
		former, db.Config.ConnPool = db.ConnPool, p
		if ps, ok := db.Session(&gorm.Session{PrepareStmt: true}).ConnPool.(*gorm.PreparedStmtDB); ok {
			ps.Close()
		}
	}
	db.Statement.ConnPool = db.Config.ConnPool
	return former
}
