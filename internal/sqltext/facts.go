package sqltext

// Facts is what Classify found out about a text. The zero value is that of an
// empty text.
type Facts uint32

const (
	impure  Facts = 1 << iota // not provably read only
	session                   // SessionState
	alone                     // NeedsNoTransaction
	begins                    // BeginsTransaction
	ends                      // EndsTransaction
	early                     // BeforeSnapshot
	calls                     // CallsUnknown

	runs  Facts = 1 << 16 // RunsText
	grows Facts = 1 << 17 // Grows

	kindShift   = 8  // Kind, 3 bits
	escapeShift = 12 // index into reasons, 4 bits
	kindMask    = 7
	escapeMask  = 15
)

// Kind is what a text does, in rising order of weight.
type Kind uint8

const (
	// Other is an empty text or one that begins with an unknown word.
	Other Kind = iota
	// Control is transaction control, SET, SHOW's counterpart RESET, LISTEN,
	// cursors and whatever else concerns the session.
	Control
	// Read returns rows and changes no table. It may take locks and call any
	// function: see ReadOnly.
	Read
	// Write changes rows, or may (COPY, CALL, DO, EXECUTE).
	Write
	// DDL changes or maintains the schema.
	DDL
)

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return "other"
	}
	return kindNames[k]
}

var kindNames = [...]string{"other", "control", "read", "write", "ddl"}

type escape uint8

const (
	noEscape escape = iota
	escapePath
	escapeRole
	escapeAll
	escapeUnreadableSetting
	escapeUnicodeName
	escapeSettingsView
	escapeLexing
	escapeStatement
)

var reasons = [...]string{
	noEscape:                "",
	escapePath:              "it sets search_path; the tenant's schema comes from the context",
	escapeRole:              "it sets the role or the session's user",
	escapeAll:               "it resets the whole session (RESET ALL, DISCARD ALL); reset single settings by name",
	escapeUnreadableSetting: "it calls set_config for a setting that is not a plain literal; write the setting's name into the text",
	escapeUnicodeName:       "it has a name in Unicode escapes (U&\"...\"), which cannot be checked; write the name out",
	escapeSettingsView:      "it updates pg_settings, or makes what could be updated of it; use SET LOCAL",
	escapeLexing:            "it changes how statement text is read (standard_conforming_strings, client_encoding)",
	escapeStatement:         "it executes a prepared statement that sets the scope",
}

// ReadOnly reports whether the text is provably read only, so that a hot
// standby answers it as the primary would. The package comment says what this
// relies on.
func (f Facts) ReadOnly() bool { return f&impure == 0 && f.Command() == Read }

// NeedsNoTransaction reports whether PostgreSQL refuses the text behind another
// statement of the same transaction (SQLSTATE 25001): CREATE and DROP INDEX
// CONCURRENTLY, VACUUM, CREATE DATABASE and their like. CREATE, ALTER and DROP
// SUBSCRIPTION are among them in every form, although some forms are allowed.
// Not among them are commands that only the catalog can tell: REINDEX and
// CLUSTER of a partitioned table.
func (f Facts) NeedsNoTransaction() bool { return f&alone != 0 }

// Escape returns why the text would step out of the tenant's scope, empty if it
// would not. The reason is a clause in lower case for an error message and
// quotes nothing of the text.
func (f Facts) Escape() string { return reasons[f>>escapeShift&escapeMask] }

// SessionState reports whether the text may leave something on the session that
// the connection's next borrower must not meet: temporary tables, settings,
// session-level advisory locks, prepared statements, listeners, held cursors.
func (f Facts) SessionState() bool { return f&session != 0 }

// Command returns the kind of the text; of several statements, that of most
// weight.
func (f Facts) Command() Kind { return Kind(f >> kindShift & kindMask) }

// BeforeSnapshot reports whether the text's first command is one that PostgreSQL
// runs without a snapshot (SET, LOCK, SAVEPOINT, ...), or an unknown one: where a
// query goes ahead of it, SET TRANSACTION fails, and what a repeatable read sees
// is from before the lock.
func (f Facts) BeforeSnapshot() bool { return f&early != 0 }

// CallsUnknown reports whether the text runs what nobody knows: a function that is
// not PostgreSQL's own, a procedure, a block, a prepared statement. The columns of
// an INSERT into a qualified name, or behind a WITH, are taken for a call.
func (f Facts) CallsUnknown() bool { return f&calls != 0 }

// RunsText reports whether the text runs, or makes what runs, a text of its own,
// which stands in a string: a DO block, CREATE FUNCTION and PROCEDURE, AGGREGATE and
// OPERATOR, which give a function another name, and the
// functions of PostgreSQL and its extensions that are given a query (query_to_xml,
// ts_stat, dblink, crosstab). A name counts, called or not. What an application's
// own functions run cannot be told.
func (f Facts) RunsText() bool { return f&runs != 0 }

// Grows reports whether the text may make a tenant's tables larger: INSERT, UPDATE,
// MERGE, COPY FROM, CREATE, SELECT INTO, also in a WITH. DELETE, TRUNCATE, DROP and
// ALTER do not count, nor does what functions, procedures and blocks do.
func (f Facts) Grows() bool { return f&grows != 0 }

// BeginsTransaction reports whether the text begins a transaction (BEGIN, START
// TRANSACTION).
func (f Facts) BeginsTransaction() bool { return f&begins != 0 }

// EndsTransaction reports whether the text ends a transaction: COMMIT, END,
// ROLLBACK, ABORT, PREPARE TRANSACTION; not ROLLBACK TO, COMMIT PREPARED and
// ROLLBACK PREPARED.
func (f Facts) EndsTransaction() bool { return f&ends != 0 }

func (f *Facts) raise(k Kind) {
	if k > f.Command() {
		*f = *f&^(kindMask<<kindShift) | Facts(k)<<kindShift
	}
}

// escape keeps the first reason.
func (f *Facts) escape(why escape) {
	if *f>>escapeShift&escapeMask == 0 {
		*f |= Facts(why) << escapeShift
	}
}
