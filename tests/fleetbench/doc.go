// Command fleetbench measures what is done to whole fleets of tenants, on a
// PostgreSQL server that it starts itself: how fast tenants are created, against
// the same DDL sent by hand as one message per tenant, alternating in one run.
//
//	go run ./tests/fleetbench -tenants 10000
//
// What it prints are medians over rounds. It measures no statements of tenants:
// tests/bench does.
package main
