// Package tenanttest helps an application test its own tenancy, on a real
// PostgreSQL.
//
//	func TestInvoices(t *testing.T) {
//		db := tenanttest.Open(t, tenantplugin.WithModels(&Invoice{}))
//		ctx := tenanttest.Tenant(t, db) // a tenant of this test's own
//		db.WithContext(ctx).Create(&Invoice{Amount: 12})
//	}
//
//	func TestIsolation(t *testing.T) {
//		tenanttest.Prove(t, db, tenanttest.ProveConfig{Tenants: ids})
//	}
//
// Open starts one PostgreSQL per test binary, or takes the one that the
// environment variable GORMTENANCY_TEST_DSN names; every Open has a database of
// its own, so tests may be parallel. Call Stop at the end of TestMain.
//
// Prove marks every tenant's rows, then reads and writes in as many ways as
// GORM has, at random and concurrently, with errors, panics, cancelled contexts
// and wrong tenants among them. One foreign row fails the test. It proves what
// it did, not what it did not do: a query that bypasses db is out of its sight.
package tenanttest
