// Package tenant holds the words that every part of gormtenancy shares: who a
// tenant is (ID, Tenant, State, Tier), where its data lives (Placement, Shard,
// the schema's name), how it travels (NewContext, FromContext), and the
// conditions that can go wrong, as sentinels.
//
// It promises that an ID or a schema name that has passed ParseID or
// ParseSchema is safe to quote, cannot be cut short by PostgreSQL into another
// tenant's, and never names a system schema. A context that was given a bad ID
// carries the error instead of the ID, so that whoever reads it fails closed.
//
// It does no I/O, knows no database and imports the standard library only.
//
// A tenant's life:
//
//	provisioning ──> active <──> suspended
//	                  ▲  │           │
//	                  │  ├───────────┤
//	                  ▼  ▼           ▼
//	              moving archived <──┘   (and back, by Restore)
//
// Package registry draws who moves it; nothing enters moving yet.
package tenant
