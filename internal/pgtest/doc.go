// Package pgtest gives this module's own tests real PostgreSQL servers: one
// each of every version that the machine has (15 or newer, and 18), started
// once per test binary, a new database per test.
//
// The environment may name servers that run already, which is quicker while
// working on one test: GORMTENANCY_TEST_DSN_15 and GORMTENANCY_TEST_DSN_18. A
// version that is not to be had is a skipped test that says so.
package pgtest
