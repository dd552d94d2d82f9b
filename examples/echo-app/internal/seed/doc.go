// Package seed fills a tenant with sample data that looks real: products of
// its own trade, customers, and orders over the first half of 2026.
//
// The same tenant gets the same data each time, and all tenants get rows of
// the same IDs with different contents: that is what makes a leak visible.
package seed
