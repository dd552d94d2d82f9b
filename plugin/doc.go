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
// With WithRoles (strict mode) the server itself keeps tenants apart: each tenant's
// statements run under a database role that may use the tenant's tables and sequences,
// and nothing else. So a name with another tenant's schema in it, in raw SQL, a Where or
// a fragment that was injected there, is denied (SQLSTATE 42501), and so is a second
// statement in a text (42601). Refused with tenant.ErrForbidden is what could take the
// role off or runs a text that nobody can read: SET ROLE and RESET, set_config of the
// role, DO, CREATE FUNCTION and PROCEDURE, AGGREGATE and OPERATOR, query_to_xml, ts_stat,
// dblink and their like, and what refuses to run in a transaction (VACUUM, CREATE INDEX
// CONCURRENTLY).
//
// It costs no round trip, and each login (1,000 tenants) pools of its own, so that the
// limits of WithPoolLimits count for each. Tenants make no tables: WithModels and
// WithMigrations do, as the shard's own user, and AutoMigrate in an active tenant's
// context is denied. What tenants share (WithSearchPath) they must be granted, to PUBLIC.
//
// It does not stop what the schema's owner has made: functions that set the role
// (which reach the other tenants of the login, for the statement or the rest of its
// batch), that run text, or are
// SECURITY DEFINER; views over other schemas. It does not stop unknown functions of
// extensions that run text, hides no names, definitions and sizes (pg_catalog is
// everybody's) and not the texts that were prepared on the connection
// (pg_prepared_statements: put values into arguments, not into texts), and keeps neither advisory locks nor LISTEN and NOTIFY apart. Shared and
// bare statements, and a new tenant's provisioner, run as the shard's own user.
//
// It does not hold tenants' data, decide placements (registry) or read HTTP
// (middleware). A session made before Use may keep the old pool, which Use
// has closed: its statements run scoped like all others, for the callbacks
// replace the pool, but its transactions fail with "sql: database is closed".
package tenantplugin
