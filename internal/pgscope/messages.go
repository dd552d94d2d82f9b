package pgscope

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/gormtenancy/gormtenancy/internal/sqltext"
)

// The frontend and backend messages that the wire makes itself. Format: one
// byte of type, four bytes of length (itself included), the body.
// https://www.postgresql.org/docs/current/protocol-message-formats.html

const headerLen = 5

// scopeSQL sets $1 as the path of the current transaction.
const scopeSQL = "select pg_catalog.set_config('search_path', $1, true)"

// The fence is scopeSQL for the first statement of another owner. It fails if
// the owner before left anything that a name could find: a temporary schema, or
// a path of the session. A lone quote is no path, so that set_config fails, and
// with it all that stands behind it in the packet.
const (
	fenceBefore = "select pg_catalog.set_config('search_path', case when " + ownPath + " and "
	fenceMiddle = " then "
	fenceBehind = ` else '"' end, true)`
	fenceCode   = "22023" // invalid_parameter_value
	missingCode = "26000" // invalid_sql_statement_name
	thereCode   = "42P05" // duplicate_prepared_statement
)

// Operators are looked up by the path, which may be anything.
const (
	ownPath = "(pg_catalog.current_setting('search_path') operator(pg_catalog.=) ''" +
		` or pg_catalog.current_setting('search_path') operator(pg_catalog.=) '""')`
	noTemps = "pg_catalog.pg_my_temp_schema() operator(pg_catalog.=) 0"
)

// A temporary schema stays when what was in it is gone (ON COMMIT DROP, a
// function's scratch table). Sessions that have one get this fence, which looks
// into it and takes longer: whatever is in a schema depends on it, and that is
// how PostgreSQL itself empties it.
const (
	noTempObjects = "not exists (select from pg_catalog.pg_depend" +
		" where refclassid operator(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass" +
		" and refobjid operator(pg_catalog.=) pg_catalog.pg_my_temp_schema())"
)

// inserted are the statements that the wire inserts by the extended protocol.
type inserted struct{ scope, fence, temps named }

type named struct{ name, sql string }

// statements are those of connections without and with a role, and of scopes without
// and with timeouts.
var statements = [2][2]inserted{
	{newInserted(fenceBefore, ""), newInserted(fenceBefore, timeoutSetters("$2", "$3"))},
	{
		newInserted(strictBefore, setRole+"$2, true)"),
		newInserted(strictBefore, setRole+"$2, true)"+timeoutSetters("$3", "$4")),
	},
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// newInserted returns the statements whose fence begins with before, and which set
// more than the path. They are named, because an unnamed one
// would destroy pgx's own unnamed statement, and the names cannot be guessed,
// because SQL's EXECUTE could set the path by them; who looks them up in
// pg_prepared_statements is refused by their prefix.
func newInserted(before, more string) inserted {
	name := func(sql string) named { return named{sqltext.StatementPrefix + rand.Text(), sql + more} }
	return inserted{
		scope: name(scopeSQL),
		fence: name(before + noTemps + fenceMiddle + "$1" + fenceBehind),
		temps: name(before + noTempObjects + fenceMiddle + "$1" + fenceBehind),
	}
}

// begin starts a message of type t in b and returns where its length goes.
func begin(b []byte, t byte) ([]byte, int) {
	b = append(b, t, 0, 0, 0, 0)
	return b, len(b) - 4
}

// end writes the length of the message whose length field is at.
func end(b []byte, at int) []byte {
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at))
	return b
}

func appendCString(b []byte, s string) []byte {
	return append(append(b, s...), 0)
}

func appendParse(b []byte, name, sql string) []byte {
	b, at := begin(b, 'P')
	b = appendCString(b, name)
	b = appendCString(b, sql)
	b = append(b, 0, 0) // no parameter types
	return end(b, at)
}

// appendBind binds statement name, which has no parameters, to the unnamed portal.
func appendBind(b []byte, name string) []byte {
	b, at := beginBind(b, name, 0)
	return endBind(b, at)
}

// beginBind begins to bind statement name, with n text parameters, which appendParam adds
// before endBind, to the unnamed portal.
func beginBind(b []byte, name string, n byte) ([]byte, int) {
	b, at := begin(b, 'B')
	b = append(b, 0) // unnamed portal
	b = appendCString(b, name)
	b = append(b, 0, 0) // parameter formats: all text
	return append(b, 0, n), at
}

// appendParam adds the parameter that value appends.
func appendParam(b []byte, value func([]byte) []byte) []byte {
	b = append(b, 0, 0, 0, 0)
	size := len(b) - 4
	b = value(b)
	binary.BigEndian.PutUint32(b[size:], uint32(len(b)-size-4))
	return b
}

func endBind(b []byte, at int) []byte {
	b = append(b, 0, 0) // result formats: all text
	return end(b, at)
}

func appendExecute(b []byte) []byte {
	b, at := begin(b, 'E')
	b = append(b, 0, 0, 0, 0, 0) // unnamed portal, no row limit
	return end(b, at)
}

// appendUtility adds Parse, Bind and Execute of an unnamed statement. Its
// answers are "12C".
func appendUtility(b []byte, sql string) []byte {
	b = appendParse(b, "", sql)
	b = appendBind(b, "")
	return appendExecute(b)
}

func appendQuery(b, prefix, text []byte) []byte {
	b, at := begin(b, 'Q')
	b = append(b, prefix...)
	b = append(b, text...)
	b = append(b, 0)
	return end(b, at)
}

// appendComplete adds the answer of a command that the wire answered itself.
func appendComplete(b []byte, tag string, status byte) []byte {
	b, at := begin(b, 'C')
	b = end(appendCString(b, tag), at)
	b, at = begin(b, 'Z')
	return end(append(b, status), at)
}

// bindsUnnamed reports whether a Bind message refers to the unnamed statement.
func bindsUnnamed(msg []byte) bool {
	body := msg[headerLen:]
	for i, c := range body {
		if c == 0 { // end of the portal's name
			return i+1 < len(body) && body[i+1] == 0
		}
	}
	return true
}
