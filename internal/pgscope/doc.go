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
//	later statements                  as they are; again with the scope if the path may have changed
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
// A connection with a login (Config.Login) is strict: the statement that sets the path
// takes the tenant's role on too, for the transaction, and between transactions the
// session is the login's, which may do nothing.
//
//	extended     Bind Execute(set_config path, set_config role) + client's messages + Sync
//	transaction  BEGIN + SET LOCAL search_path + SET LOCAL ROLE + the statement;
//	             later statements as outside of one, each with its scope again
//	simple       never, but for pgx's own COPY
//
// So the server denies what the role may not, whatever a text names, and takes one
// statement only of each text. Texts that set the role, or run a text of their own, are
// refused (package sqltext). What remains: functions that exist already and set the
// role, run text, or are SECURITY DEFINER; views of the schema's owner; extensions'
// functions that run text and are not known here; what PUBLIC may (pg_catalog's names and
// definitions, advisory locks, notifications). The first two reach the tenants of
// the same login, for the statement, or for the rest of a batch (pgx.SendBatch), which
// is sent with one scope. TestStrictRemains shows each. pg_prepared_statements has the
// texts that other tenants' statements were prepared from on the connection.
//
// The texts that are checked are those that pgx sends, and the server must read them as
// package sqltext does: a session with standard_conforming_strings = off or a client
// encoding like SJIS is refused, and lost if something switches it on later.
//
// It does not pool, route or retry (but for what the server refused to begin: a
// stale plan, the fence), and it does not see through functions, DO blocks or PREPARE.
package pgscope
