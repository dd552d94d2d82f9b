// Package sqltext tells from a statement's text what the layers above must
// know before they run it: may it run on a hot standby (ReadOnly), would it
// step out of the tenant's scope (Escape), does it leave something behind on
// the session (SessionState), does it refuse to share a transaction
// (NeedsNoTransaction), and what kind of command it is (Command).
//
// It reads the text once with PostgreSQL's own lexical rules (nested comments,
// every form of literal and quoted name, dollar quotes), without a parser and
// without allocating. Each answer errs to its safe side: a text that it cannot
// understand is not read only.
//
// Fingerprint names what texts that differ only in their values have in common, and
// writes it without any value, so that it may go to logs and be stored.
//
// What it promises, and what not:
//
//   - ReadOnly means SELECT, VALUES, TABLE or WITH, one statement, no lock, no
//     INTO, no data-modifying CTE, and calls of well-known functions only. It
//     trusts what text cannot show: that views, operators, row policies and the
//     application's own overloads of a well-known name (lower, sum) only read. If
//     they do not, the standby refuses the statement (SQLSTATE 25006).
//   - Escape and SessionState look at what stands in the text. What is hidden in
//     a string or kept on the server cannot be seen: DO, CALL, EXECUTE, functions
//     of the application, set_config from within them. Only a database role per
//     tenant can stop that; RunsText tells what it has to refuse then.
//   - It assumes the server's defaults standard_conforming_strings = on and a
//     client encoding of UTF-8. Text that changes either is an Escape, and package
//     pgscope refuses sessions that have others.
package sqltext
