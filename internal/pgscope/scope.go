package pgscope

import (
	"strings"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Scope is what a statement runs in.
type Scope struct {
	// Owner is whose statement it is. A transaction belongs to the owner of
	// its BEGIN; nobody else's statement runs in it.
	Owner string
	// Schema is the unquoted name of the schema that unqualified names mean.
	// Empty: the path at rest, which finds nothing but pg_catalog.
	Schema string
	// Role is the database role that the statement takes on, on a connection with a
	// login (Config.Login), where every Schema needs one. Empty elsewhere.
	Role string
	// StatementTimeout and IdleTimeout are set for the transaction, in milliseconds: how
	// long each of its statements may run, and how long it may wait for the next one.
	// Zero leaves the session's own.
	StatementTimeout, IdleTimeout int32
	// Version is the schema's version, 0 if unknown. Statements of different
	// versions never share a server-side prepared statement.
	Version int64
	// Volatile says that the schema may change at any time: a transaction then
	// uses no statement that was prepared before it. PostgreSQL refuses one whose
	// columns are not what they were, and the transaction is lost with it. What it
	// has prepared itself cannot change until it ends: it holds the tables' locks.
	Volatile bool
}

// path renders search paths. suffix is what follows every tenant's schema:
// schemas that are shared on purpose, then pg_temp, which PostgreSQL would
// otherwise search first.
type path struct{ suffix string }

func newPath(visible []string) path {
	var b strings.Builder
	for _, s := range visible {
		b.WriteString(", ")
		b.WriteString(tenant.QuoteIdent(s))
	}
	b.WriteString(", pg_temp")
	return path{b.String()}
}

// PathLiteral returns, as an SQL literal, the search_path of a statement in schema
// behind which the schemas of visible are searched.
func PathLiteral(schema string, visible []string) string {
	return string(newPath(visible).appendLiteral(nil, schema))
}

// append adds the search path of schema to b. A name that nobody may have
// (see tenant.ParseSchema; public is for shared scopes) cannot get here
// unquoted. No schema is the path at rest.
func (p path) append(b []byte, schema string) []byte {
	if schema == "" {
		return b
	}
	b = append(b, tenant.QuoteIdent(schema)...)
	return append(b, p.suffix...)
}

// appendLiteral adds the path as a string literal.
func (p path) appendLiteral(b []byte, schema string) []byte {
	return appendLiteral(b, func(b []byte) []byte { return p.append(b, schema) })
}

// appendLiteral adds what value appends as a string literal.
func appendLiteral(b []byte, value func([]byte) []byte) []byte {
	b = append(b, '\'')
	start := len(b)
	b = value(b)
	if escaped := strings.ReplaceAll(string(b[start:]), "'", "''"); len(escaped) != len(b)-start {
		b = append(b[:start], escaped...)
	}
	return append(b, '\'')
}
