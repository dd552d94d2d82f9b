// Package fleetlab is for measurements that need a whole fleet: two PostgreSQL servers
// with thousands of tenants, made faster than a registry would, and an application
// that serves them at a steady rate. It measures nothing itself.
package fleetlab
