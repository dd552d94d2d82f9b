// Package portable scopes statements over a *sql.DB that somebody else opened:
// another driver (lib/pq, a cloud connector), or go-sqlmock.
//
// The wire of package pgscope is not to be had there, so each statement runs
// in a transaction of its own: BEGIN, set_config(..., true), the statement,
// COMMIT. It is correct first and slow second: three round trips more for a
// statement outside a transaction, one more for a transaction. The rows of a
// query keep their transaction open until they are closed.
//
// The connections are borrowed for a statement, a transaction or as long as
// database/sql's Conn, and the first statement on one fails if a function, say,
// has left temporary tables there; another one is tried then. A connection whose
// session a text has changed is closed.
//
// COMMIT and ROLLBACK as texts are refused: behind them is the path that the pool
// was opened with. What cannot run in a transaction (CREATE INDEX CONCURRENTLY, VACUUM) is
// refused with an error that says so.
package portable
