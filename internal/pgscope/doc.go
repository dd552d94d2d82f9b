// Package pgscope is the wire: it puts a tenant's scope into the network packet
// of the tenant's own statement, so that scoping costs no round trip and
// nothing of it outlives the transaction.
//
// A Connector opens pgx connections (through pgx's stdlib driver) whose
// net.Conn is a wire. The wire sees whole frontend messages go out and whole
// backend messages come in. In front of a statement it inserts a
// transaction-local search_path; the answers to what it inserted never reach
// pgx:
//
//	outside a transaction, extended   Bind Execute(set_config) + client's messages + Sync
//	outside a transaction, simple     Query("select set_config(...);" + text)
//	first statement of a transaction  BEGIN (held back until now) + SET LOCAL + the statement,
//	                                  in one group, so that a failed BEGIN fails the statement
//	later statements                  as they are; again with SET LOCAL if the path may have changed
//	COMMIT of an unused transaction   answered here, the server never hears of it
//
// The first statement of another owner than before has a fence for a scope: the
// same set_config, which fails if the session holds temporary objects or a path of
// its own. Then nothing behind it ran: the session is tidied, and the statement sent
// again (guard.go).
//
// The scope of a statement comes from its own context, through Config.Scope.
//
// Promises: a statement whose scope cannot be told never leaves the process; a
// statement of one owner inside a transaction of another is refused and the
// connection closed; a connection at rest has an empty search_path; a
// connection that user SQL has changed in its text's own words is not valid for reuse.
//
// It does not pool, route or retry (but for what the server refused to begin: a
// stale plan, the fence), and it does not see through functions, DO blocks or PREPARE.
package pgscope
