package sqltext

import "strings"

// statement is what is known of the statement at hand.
type statement struct {
	open    bool
	words   int  // names seen, keywords among them
	command word // the first
	object  word // the second
	into    bool // SELECT INTO
	named   bool // what the command is for was named (CREATE, REINDEX, CLUSTER)
	routine bool // CREATE FUNCTION or PROCEDURE
	binds   bool // CREATE AGGREGATE or OPERATOR, which name functions without calling them
	detach  bool // ALTER TABLE ... DETACH
	ends    bool // EndsTransaction
	leaves  bool // SessionState
	set     bool // the setting's name was seen
	value   bool // the setting's value comes next, and matters
	nameAt  int  // where the setting's name ends
}

// begin handles the first word.
func (s *scanner) begin(w word) {
	switch w {
	case wSelect, wValues, wTable:
		s.facts.raise(Read)
		return
	case wWith:
		s.facts.raise(Read)
		s.ctes |= s.bit()
		return
	case wUpdate:
		s.sawUpdate()
	}
	switch w {
	case wInsert, wUpdate, wMerge, wCreate:
		s.facts |= grows
	}
	s.facts |= impure
	kind := kindOf(w)
	s.facts.raise(kind)
	if s.statements == 1 && kind <= Control {
		s.facts |= early
	}
	switch w {
	case wRuns:
		s.facts |= calls
	case wDo:
		s.facts |= calls | runs
	case wVacuum:
		s.facts |= alone
	case wBegin, wStart:
		s.facts |= begins
	case wCommit, wRollback, wAbort:
		s.stmt.ends = true
	case wEnd:
		s.stmt.ends = !s.atomic
		s.atomic = false
	case wSet, wReset, wPrepare, wKeeps:
		s.stmt.leaves = true
	}
}

func kindOf(w word) Kind {
	switch w {
	case wInspect:
		return Read
	case wInsert, wUpdate, wDelete, wMerge, wCopy, wWrite, wRuns, wDo:
		return Write
	case wDDL, wCreate, wAlter, wDrop, wReindex, wVacuum, wCluster:
		return DDL
	case wControl, wKeeps, wBegin, wStart, wCommit, wRollback, wAbort, wEnd,
		wSet, wReset, wDiscard, wPrepare, wDeclare:
		return Control
	}
	return Other
}

// utility handles the later words of a command that is no query.
func (s *scanner) utility(t token) {
	if s.stmt.words == 2 {
		s.stmt.object = t.word
	}
	switch s.stmt.command {
	case wCreate:
		s.create(t.word)
	case wCopy:
		if s.depth == 0 && t.kind == bare && strings.EqualFold(s.text[t.start:t.end], "from") {
			s.facts |= grows
		}
	case wAlter:
		s.alter(t.word)
	case wDrop, wReindex, wCluster:
		s.maintain(t.word)
	case wCommit, wRollback:
		s.end(t.word)
	case wPrepare:
		if s.stmt.object == wTransaction && s.stmt.words == 2 {
			s.stmt.leaves, s.stmt.ends = false, true
		}
	case wDeclare:
		if t.word == wHold && s.last.word == wWith {
			s.facts |= session
		}
	case wSet:
		s.setting(t)
	case wReset, wDiscard:
		s.reset(t)
	}
}

func (s *scanner) create(w word) {
	st := &s.stmt
	switch {
	case st.words == 2 && (w == wDatabase || w == wTablespace || w == wSubscription),
		w == wConcurrently && s.last.word == wIndex:
		s.facts |= alone
	case !st.named && (w == wFunction || w == wProcedure):
		st.routine = true
		s.facts |= runs
	case !st.named && (w == wAggregate || w == wOperator):
		st.binds = true
		s.facts |= runs
	case w == wAtomic && s.last.word == wBegin && st.routine && s.depth == 0:
		s.atomic = true
	case w == wTemp && !st.named:
		s.facts |= session
	}
	if w != wSyntax && w != wReplace && w != wLocal && w != wGlobal { // OR, REPLACE, ...
		st.named = true
	}
}

func (s *scanner) alter(w word) {
	st := &s.stmt
	switch {
	case st.words == 2 && (w == wSystem || w == wSubscription),
		w == wTablespace && s.last.word == wSet && st.object == wDatabase,
		w == wConcurrently && st.detach:
		s.facts |= alone
	case w == wDetach && st.object == wTable:
		st.detach = true
	}
}

// maintain handles DROP, REINDEX and CLUSTER.
func (s *scanner) maintain(w word) {
	st := &s.stmt
	switch st.command {
	case wDrop:
		if st.words == 2 && (w == wDatabase || w == wTablespace || w == wSubscription) ||
			w == wConcurrently && s.last.word == wIndex {
			s.facts |= alone
		}
	case wReindex:
		if w == wConcurrently || !st.named && s.depth == 0 && (w == wDatabase || w == wSchema || w == wSystem) {
			s.facts |= alone
		}
		st.named = st.named || s.depth == 0
	case wCluster:
		st.named = st.named || s.depth == 0 && w != wVerbose
	}
}

// end handles COMMIT and ROLLBACK.
func (s *scanner) end(w word) {
	switch {
	case w == wPrepared && s.stmt.words == 2:
		s.stmt.ends = false
		s.facts |= alone
	case w == wTo:
		s.stmt.ends = false
	}
}

// setting handles the words of SET until the setting's name.
func (s *scanner) setting(t token) {
	st := &s.stmt
	switch {
	case st.set:
		return
	case t.word == wSession:
		return // SET SESSION x, SET [LOCAL] SESSION AUTHORIZATION
	case t.word == wLocal && st.words == 2:
		st.leaves = false
		return
	}
	st.set = true
	name := t.word
	if t.kind == quoted {
		name = keyword(s.text[t.start:t.end])
	}
	switch name {
	case wTransaction, wConstraints:
		if st.words == 2 {
			st.leaves = false
		}
	case wNames, wStandardStrings, wClientEncoding:
		st.value, st.nameAt = true, t.end
	default:
		s.facts.escape(forbidden(name))
	}
}

// settingValue checks the value of a setting on which the reading of text
// depends: only that on which this package relies is allowed.
func (s *scanner) settingValue(t token) {
	if t.end <= s.stmt.nameAt || t.kind == operator || t.word == wTo {
		return
	}
	s.stmt.value = false
	var buf [maxWord]byte
	switch string(fold(&buf, s.text[t.start:t.end])) {
	case "on", "true", "utf8", "utf-8", "unicode":
	default:
		s.facts.escape(escapeLexing)
	}
}

// reset handles RESET and DISCARD.
func (s *scanner) reset(t token) {
	name := t.word
	if t.kind == quoted {
		name = keyword(s.text[t.start:t.end])
	}
	switch {
	case name == wAll && s.stmt.words == 2:
		s.facts.escape(escapeAll)
	case s.stmt.command == wReset:
		s.facts.escape(forbidden(name))
	}
}
