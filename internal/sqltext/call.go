package sqltext

import "strings"

// call handles a parenthesis behind a name: a call, or syntax.
func (s *scanner) call() {
	qualified := s.last2.kind == dot
	if s.last.word.syntactic() && !qualified {
		return
	}
	var buf [maxWord]byte
	name := s.spelling(&buf, s.last)
	s.sessionCall(name)
	if s.facts&impure != 0 && !s.stmt.mayCall() {
		return
	}
	if !qualified && s.notCalled() || known(name) && (!qualified || s.inCatalog()) {
		return
	}
	s.facts |= impure
	if !runsNoCode(name) {
		s.facts |= calls
	}
}

// runsNoCode lists PostgreSQL's own functions that are called often, not read only,
// and run nobody's code.
func runsNoCode(name []byte) bool {
	switch n := string(name); n {
	case "nextval", "currval", "lastval", "setval", "random", "gen_random_uuid", "clock_timestamp", "current_setting", "set_config":
		return true
	default:
		return strings.HasPrefix(n, "pg_")
	}
}

// mayCall reports whether the statement is one whose calls CallsUnknown tells.
func (st *statement) mayCall() bool {
	switch st.command {
	case wSelect, wValues, wTable, wWith, wInsert, wUpdate, wDelete, wMerge, wInspect:
		return true
	}
	return false
}

// spelling returns the name that t stands for, or nothing if it is too long to
// matter.
func (s *scanner) spelling(buf *[maxWord]byte, t token) []byte {
	text := s.text[t.start:t.end]
	if t.kind == bare {
		return fold(buf, text)
	}
	if len(text) > maxWord {
		return nil
	}
	return buf[:copy(buf[:], text)]
}

func known(name []byte) bool {
	_, ok := functions[string(name)]
	return ok
}

// inCatalog reports whether the name with the dot at hand is pg_catalog's.
func (s *scanner) inCatalog() bool {
	return strings.EqualFold(s.text[s.last3.start:s.last3.end], "pg_catalog")
}

// notCalled reports whether the name before the parenthesis is no function's:
// an alias, a WITH query or an INSERT's table with its columns, or a keyword
// where only the keyword can stand.
func (s *scanner) notCalled() bool {
	before := s.last2
	switch {
	case s.stmt.command == wInsert && (before.word == wInto || before.word == wOn && s.reads("conflict")):
		return true
	case before.word == wAs, before.word == wOrdinality, before.kind == rightParen && !s.vague:
		return true
	case s.ctes&s.bit() != 0 && (before.kind == comma || before.word == wWith || before.word == wRecursive):
		return true
	}
	switch s.last.word {
	case wBy:
		return before.word == wGroup || before.word == wOrder || before.word == wPartition
	case wCube, wRollup:
		return before.word == wBy
	case wSets:
		return before.word == wGrouping
	case wMaterialized:
		return before.word == wNot
	case wVarying:
		return before.word == wCharacter
	case wZone:
		return before.word == wTime
	case wBernoulli, wSystem:
		return before.word == wTablesample
	}
	return false
}

// reads reports whether the last token is a bare word.
func (s *scanner) reads(word string) bool {
	return s.last.kind == bare && strings.EqualFold(s.text[s.last.start:s.last.end], word)
}

// sessionCall looks for functions that change the session.
func (s *scanner) sessionCall(name []byte) {
	switch n := string(name); {
	case n == "set_config":
		s.config.open(s)
	case n == "setseed",
		strings.HasPrefix(n, "pg_advisory_lock"),
		strings.HasPrefix(n, "pg_try_advisory_lock"),
		strings.HasPrefix(n, "dblink_connect"):
		s.facts |= session
	}
}

// config follows the arguments of a set_config call.
type config struct {
	stage uint8 // 0: outside, 1: in the first argument, 2: behind it
	depth uint
}

func (c *config) open(s *scanner) {
	if c.stage != 0 { // within another's arguments, which are lost sight of
		s.facts |= session
		if c.stage == 1 {
			s.facts.escape(escapeUnreadableSetting)
		}
	}
	*c = config{stage: 1, depth: s.depth + 1}
}

func (c *config) comma(s *scanner) {
	if c.stage != 1 || s.depth != c.depth {
		return
	}
	c.stage = 2
	if s.last.kind != plain || s.last2.kind != leftParen {
		s.facts.escape(escapeUnreadableSetting)
		return
	}
	s.facts.escape(forbidden(keyword(s.text[s.last.start:s.last.end])))
}

func (c *config) close(s *scanner) {
	if c.stage == 0 || s.depth != c.depth {
		return
	}
	if c.stage == 1 {
		s.facts.escape(escapeUnreadableSetting)
	}
	if s.last.word != wTrue || s.last2.kind != comma {
		s.facts |= session
	}
	c.stage = 0
}

// forbidden returns why a setting may not be changed.
func forbidden(setting word) escape {
	switch setting {
	case wSearchPath, wSchema:
		return escapePath
	case wRole, wAuthorization, wSessionAuthorization:
		return escapeRole
	case wStandardStrings, wClientEncoding:
		return escapeLexing
	}
	return noEscape
}

// queryName looks for functions that run a text. They need no parenthesis: (x).f is
// f(x).
func (s *scanner) queryName(t token) {
	if t.end-t.start < len("dblink") {
		return
	}
	switch s.text[t.start] | 0x20 {
	case 'c', 'd', 'q', 's', 't', 'x':
	default:
		return
	}
	var buf [maxWord]byte
	switch name := string(s.spelling(&buf, t)); {
	case runsQuery(name):
		s.facts |= runs
	case name == "set_config" && s.stmt.binds:
		s.facts.escape(escapeUnreadableSetting)
	}
}

// catalogName looks at names that begin with pg_: a standby answers some
// differently, and a temporary schema is the session's.
func (s *scanner) catalogName(t token) {
	if t.end-t.start < 4 || s.text[t.start]|0x20 != 'p' || s.text[t.start+2] != '_' {
		return
	}
	var buf [maxWord]byte
	switch n := string(fold(&buf, s.text[t.start:t.end])); {
	case n == "" || n == "pg_catalog" || !strings.HasPrefix(n, "pg_") || known([]byte(n)):
		return
	case n == "pg_settings":
		// A view of it is updated as it is, by another name.
		if s.settings = true; s.updates || s.stmt.command == wCreate {
			s.facts.escape(escapeSettingsView)
		}
	case strings.HasPrefix(n, "pg_temp"):
		s.facts |= session
	}
	s.facts |= impure
}
