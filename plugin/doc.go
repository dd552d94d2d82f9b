// Package tenantplugin puts a GORM application on tenant schemas:
//
//	db, err := gorm.Open(postgres.Open(dsn), &gorm.Config{})
//	err = db.Use(tenantplugin.New())
//	ctx = tenant.NewContext(ctx, "acme")
//	db.WithContext(ctx).Find(&invoices) // in acme's schema, on acme's shard
//
// Use replaces the application's connection pool by one that scopes and routes
// each statement by its context (package resolver), registers stock dbresolver
// above it to split reads from writes, and wraps the dialector where GORM's
// own would lose an error or look into another schema. Without WithRegistry,
// the application's database becomes control plane and only shard.
//
// Promises: a statement without a tenant is an error; whatever an ordinary
// application does works unchanged; nothing panics that did not before.
//
// It does not hold tenants' data, decide placements (registry) or read HTTP
// (middleware). A session made before Use may keep the old pool, which Use
// has closed: its statements run scoped like all others, for the callbacks
// replace the pool, but its transactions fail with "sql: database is closed".
package tenantplugin
