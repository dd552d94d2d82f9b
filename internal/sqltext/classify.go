package sqltext

import "strings"

// StatementPrefix begins the names of the prepared statements that set the scope,
// which every session can read in pg_prepared_statements. No text may run them.
const StatementPrefix = "gormtenancy_"

// Classify reads text once and returns what it found out. It does not
// allocate, never panics and takes any text, also one that PostgreSQL would
// refuse. It costs some 4 ns per byte: see Cache for texts that come again.
func Classify(text string) Facts {
	s := scanner{lexer: lexer{text: text}}
	for {
		t := s.next()
		if t.kind == endOfText {
			break
		}
		s.token(t)
		s.last3, s.last2, s.last = s.last2, s.last, t
	}
	s.finish()
	if s.broken {
		s.facts |= impure
	}
	return s.facts
}

// scanner is the state of one Classify.
type scanner struct {
	lexer
	facts Facts
	// The tokens before the one at hand, over all statements.
	last, last2, last3 token
	depth              uint // of parentheses
	// ctes has a bit for each depth at which WITH's list is being read.
	ctes uint64
	// vague is set where a closing parenthesis may stand in front of a call
	// (DISTINCT ON (...) f()), not only of an alias.
	vague      bool
	updates    bool // UPDATE was seen
	settings   bool // pg_settings was seen
	statements int
	stmt       statement
	atomic     bool // in the body of a function, BEGIN ATOMIC ... END
	config     config
}

// token takes the next token into account.
func (s *scanner) token(t token) {
	if t.kind == semicolon {
		s.finish()
		return
	}
	if !s.stmt.open {
		s.open()
	}
	switch t.kind {
	case bare, quoted:
		s.name(t)
	case leftParen:
		s.leftParen()
	case rightParen:
		s.rightParen()
	case comma:
		s.config.comma(s)
	case opaque:
		s.stmt.words++
		s.facts |= impure
		s.facts.escape(escapeUnicodeName)
	}
	if s.stmt.value {
		s.settingValue(t)
	}
}

// open begins a statement.
func (s *scanner) open() {
	s.stmt = statement{open: true}
	s.statements++
	if s.statements > 1 {
		s.facts |= impure
	}
	s.depth, s.ctes = 0, 0
}

func (s *scanner) name(t token) {
	first := s.stmt.words == 0
	s.stmt.words++
	s.catalogName(t)
	s.queryName(t)
	if s.last.word == wRuns && strings.HasPrefix(s.text[t.start:t.end], StatementPrefix) {
		s.facts.escape(escapeStatement)
	}
	if first {
		s.stmt.command = t.word
		s.begin(t.word)
		return
	}
	if t.word != none {
		s.query(t.word)
	}
	s.utility(t)
}

// query looks for the words that make a query more than a query.
func (s *scanner) query(w word) {
	switch w {
	case wSelect, wTable:
		s.ctes &^= s.bit()
	case wValues:
		if s.last.kind == rightParen {
			s.ctes &^= s.bit()
		}
	case wWith:
		if s.last.kind == leftParen {
			s.ctes |= s.bit()
		}
	case wSearch, wCycle:
		if s.last.kind == rightParen && s.ctes&s.bit() != 0 {
			s.facts |= impure
		}
	case wInsert, wDelete, wMerge, wUpdate:
		s.modifying(w)
	case wInto:
		s.into()
	case wNo, wKey, wShare:
		if s.last.word == wFor {
			s.facts |= impure
		}
	case wTemp:
		if s.stmt.into && (s.last.word == wInto || s.last2.word == wInto) {
			s.facts |= session
		}
	case wOn:
		s.vague = s.vague || s.last.word == wDistinct
	case wUescape:
		if s.last.kind == quoted {
			s.facts |= impure
			s.facts.escape(escapeUnicodeName)
		}
	}
}

func (s *scanner) modifying(w word) {
	if w == wUpdate {
		s.sawUpdate()
		if s.last.word == wFor {
			s.facts |= impure
			return
		}
	}
	if s.last.kind == leftParen || s.ctes&s.bit() != 0 {
		s.facts |= impure
		s.facts.raise(Write)
		if w != wDelete {
			s.facts |= grows
		}
	}
}

func (s *scanner) sawUpdate() {
	if s.updates = true; s.settings {
		s.facts.escape(escapeSettingsView)
	}
}

// into handles INTO: of SELECT INTO, unless INSERT or MERGE is in front.
func (s *scanner) into() {
	s.facts |= impure
	if s.last.word == wInsert || s.last.word == wMerge {
		return
	}
	if s.stmt.into = true; s.facts.Command() == Read {
		s.facts.raise(DDL)
		s.facts |= grows
	}
}

// bit is the current depth's in ctes. Deeper texts are not read only.
func (s *scanner) bit() uint64 {
	return 1 << (s.depth & 63)
}

func (s *scanner) leftParen() {
	switch s.last.kind {
	case bare, quoted, opaque:
		s.call()
	case rightParen:
		s.ctes &^= s.bit() // WITH x AS (...) (SELECT ...)
	}
	s.depth++
	if s.depth > 63 {
		s.facts |= impure
	}
	s.ctes &^= s.bit()
}

func (s *scanner) rightParen() {
	s.config.close(s)
	if s.depth > 0 {
		s.depth--
	}
}

// finish ends a statement.
func (s *scanner) finish() {
	st := &s.stmt
	if !st.open {
		return
	}
	st.open = false
	if st.words == 0 {
		s.facts |= impure
	}
	if st.ends {
		s.facts |= ends
	}
	if st.leaves {
		s.facts |= session
	}
	if st.command == wCluster && !st.named {
		s.facts |= alone
	}
	if s.config.stage != 0 {
		s.facts |= session
		s.config = config{}
	}
}
