// Package portable scopes statements over a *sql.DB that somebody else opened:
// another driver (lib/pq, a cloud connector), or go-sqlmock.
//
// The wire of package pgscope is not to be had there, so each statement runs
// in a transaction of its own: BEGIN, set_config(..., true), the statement,
// COMMIT. It is correct first and slow second: three round trips more for a
// statement outside a transaction, one more for a transaction. The rows of a
// query keep their transaction open until they are closed.
//
// What cannot run in a transaction (CREATE INDEX CONCURRENTLY, VACUUM) is
// refused with an error that says so.
package portable
