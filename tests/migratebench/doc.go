// Command migratebench measures migrations of whole fleets, on two PostgreSQL servers
// that it starts itself: how fast one ADD COLUMN and one CREATE INDEX reach every
// tenant, against a loop written by hand with as many connections, alternating in one
// run; how long a run with nothing to do takes; and what the application notices,
// which goes on with 200 requests per second over all tenants meanwhile.
//
//	go run ./tests/migratebench -tenants 10000
package main
