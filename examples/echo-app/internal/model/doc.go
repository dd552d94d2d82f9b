// Package model holds the order desk's tables. They are ordinary GORM models:
// nothing in them knows of tenants, each tenant has all of them in a schema of
// its own.
//
// Money is in cents and int64 throughout.
package model
