// Package pgtool runs PostgreSQL's own programs, pg_dump and pg_restore, against the
// database of a pgx configuration.
//
// It promises that no password is on a command line or in an error, that a program
// ends with its context, and that what it complained of is in the error. Settings go
// by the environment; whatever else of PostgreSQL's is there is kept out, but for what
// is said of TLS.
//
// It does not translate what only pgx knows: a DialFunc, a TLSConfig made by hand, or
// an encrypted client key.
package pgtool
