package pgscope

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Write takes whole or split frontend messages of pgx and sends them with
// what belongs before them. An error means that nothing was sent and the
// connection is unusable.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	if w.status == txStarting {
		w.mu.Unlock()
		return w.Conn.Write(p)
	}
	err := w.translate(p)
	w.mu.Unlock()
	if err != nil {
		// pgx repeats a statement on another connection if no byte of it was
		// written. A refusal must not be repeated.
		return 1, err
	}
	if len(w.out) == 0 {
		return len(p), nil
	}
	if n, err := w.Conn.Write(w.out); err != nil {
		return min(n, len(p)), err
	}
	return len(p), nil
}

// translate appends to w.out what is to be sent for p, and keeps an
// incomplete message for the next call.
func (w *wire) translate(p []byte) error {
	w.out = w.out[:0]
	data := p
	if len(w.partial) > 0 {
		w.partial = append(w.partial, p...)
		data = w.partial
	}
	for len(data) >= headerLen {
		size := 1 + int(binary.BigEndian.Uint32(data[1:]))
		if size < headerLen || data[0] == 'Q' && size == headerLen {
			return fmt.Errorf("pgscope: frontend message %q of length %d", data[0], size-1)
		}
		if len(data) < size {
			break
		}
		if err := w.frontend(data[:size]); err != nil {
			return err
		}
		data = data[size:]
	}
	w.partial = append(w.partial[:0], data...)
	return nil
}

func (w *wire) frontend(msg []byte) error {
	switch t := msg[0]; t {
	case 'Q':
		return w.simple(msg)
	case 'P', 'B', 'E', 'D':
		if err := w.review(msg); err != nil {
			return err
		}
		w.openGroup()
		if !w.scoped {
			if err := w.insert(msg); err != nil {
				return err
			}
			w.scoped = true
		}
	case 'C', 'H':
		w.openGroup()
		if t == 'C' && !w.scoped {
			w.pending[len(w.pending)-1].lead++
		}
	case 'S':
		w.openGroup()
		w.inGroup, w.scoped = false, false
	case 'd', 'c', 'f', 'X': // COPY data, Terminate
	default:
		return fmt.Errorf("pgscope: frontend message %q is not supported", t)
	}
	w.out = append(w.out, msg...)
	return nil
}

func (w *wire) openGroup() {
	if !w.inGroup {
		w.inGroup = true
		w.expect(answer{})
	}
}

// expect notes that a group is on its way.
func (w *wire) expect(a answer) {
	w.pending = append(w.pending, a)
	w.trips++
}

// admit checks that the armed statement may be sent now.
func (w *wire) admit() error {
	switch {
	case w.refusal != nil:
		return w.refusal
	case w.arm == armNone:
		return errUnarmed
	case w.arm == armControl:
		return nil
	}
	return w.fence(w.scope.Owner)
}

// insert puts the scope before msg, the first message of an extended group
// that the server would resolve names for.
func (w *wire) insert(msg []byte) error {
	if err := w.admit(); err != nil {
		return err
	}
	if w.arm == armControl {
		return nil
	}
	a := &w.pending[len(w.pending)-1]
	first := w.held != "" || w.unnamed || w.early
	if first && msg[0] == 'B' && bindsUnnamed(msg) {
		return fmt.Errorf("%w: the unnamed statement would be replaced", errUnarmed)
	}
	switch {
	case w.held != "":
		w.out = appendUtility(w.out, w.held)
		a.skip = "12C"
		w.held = ""
		if w.needsFence() {
			w.insertScope(a)
		} else if w.scope.Schema != "" {
			w.insertLocal(a)
		}
	case w.early && w.needsPath() && !w.needsFence():
		w.insertLocal(a)
	case w.needsPath(), w.needsFence():
		w.insertScope(a)
	}
	w.claim()
	return nil
}

// insertLocal adds the scope in the form of utility commands.
func (w *wire) insertLocal(a *answer) {
	w.out = appendUtility(w.out, string(w.setLocal(nil)))
	a.skip += "12C"
	if w.strict {
		w.out = appendUtility(w.out, string(w.setLocalRole(nil)))
		a.skip += "12C"
	}
	if !w.needsTimeouts() {
		return
	}
	for _, t := range w.timeouts() {
		if t.ms > 0 {
			w.out = appendUtility(w.out, string(t.setLocal(nil)))
			a.skip += "12C"
		}
	}
}

// insertScope adds the prepared scope statement to an extended group, or the
// fence.
func (w *wire) insertScope(a *answer) {
	timed := w.needsTimeouts()
	inserts, known := &statements[index(w.strict)][index(timed)], &w.plain
	if timed {
		known = &w.timed
	}
	st := inserts.scope
	a.kept = &known.scope
	if a.fenced = w.needsFence(); a.fenced {
		st, a.kept = inserts.fence, &known.fence
		if w.temps {
			st = inserts.temps
		}
	}
	if w.unnamed {
		st.name = ""
	}
	if w.unnamed || !*a.kept {
		w.out = appendParse(w.out, st.name, st.sql)
		a.parses = true
		a.skip += "1"
	}
	a.skip += "2DC"
	w.out = w.bindScope(w.out, st.name, timed)
	w.out = appendExecute(w.out)
}

// bindScope binds what insertScope inserts to the scope at hand.
func (w *wire) bindScope(b []byte, name string, timed bool) []byte {
	b, at := beginBind(b, name, byte(1+index(w.strict)+2*index(timed)))
	b = appendParam(b, func(b []byte) []byte { return w.path.append(b, w.scope.Schema) })
	if w.strict {
		b = appendParam(b, func(b []byte) []byte { return append(b, w.role()...) })
	}
	if timed {
		for _, t := range w.timeouts() {
			b = appendParam(b, t.appendValue)
		}
	}
	return endBind(b, at)
}

// needsFence reports whether the statement at hand is another owner's than the
// one before. In a failed transaction the fence fails: a text that rolls back and
// goes on would go on without one.
func (w *wire) needsFence() bool { return w.stranger(w.scope.Owner) }

// needsPath reports whether the server does not have the scope's path yet. In
// a failed transaction only its end is left to say.
func (w *wire) needsPath() bool {
	return w.scope.Schema != "" && (w.status == txIdle || w.status == txOpen && w.dirty)
}

// claim notes that a statement of the scope is on its way. In strict mode the next one
// of the transaction sets the scope again: what a cursor, a default or a trigger calls
// no text shows, and it may take another role on.
func (w *wire) claim() {
	w.owner, w.dirty, w.untimed = w.scope.Owner, w.strict, false
	w.served, w.last = true, w.scope.Owner
}

// simple sends a simple query with the scope before its text, or holds it
// back, or answers it.
func (w *wire) simple(msg []byte) error {
	if err := w.admit(); err != nil {
		return err
	}
	text := msg[headerLen : len(msg)-1]
	switch {
	case w.arm == armBegin && w.holdable():
		w.hold(string(text))
		return nil
	case w.arm == armBegin: // the first statement sets the path
		w.relay(msg)
		w.begun, w.owner, w.dirty, w.untimed = string(text), w.scope.Owner, true, true
		return nil
	case w.arm == armControl && w.held != "" && isEnd(text):
		return w.answerEnd(text)
	case w.arm == armControl:
		w.relay(msg)
		return nil
	case w.strict && w.arm != armCopy:
		return errSimple
	}
	fenced := w.needsFence()
	prefix, skip := w.prefix()
	w.expect(answer{skip: skip, shift: len(prefix), fenced: fenced})
	w.out = appendQuery(w.out, prefix, text)
	w.claim()
	return nil
}

// relay sends a simple query as it is.
func (w *wire) relay(msg []byte) {
	w.expect(answer{})
	w.out = append(w.out, msg...)
}

// holdable reports whether a BEGIN can be answered here. pgx reads in the
// background when a write takes long; a reader that waits for the server
// already would never hear of an answer that is made here.
func (w *wire) holdable() bool {
	return w.status == txIdle && len(w.pending) == 0 && !w.reading
}

// hold keeps a BEGIN for the packet of the transaction's first statement.
func (w *wire) hold(text string) {
	w.held, w.begun, w.owner, w.status, w.dirty, w.untimed = text, text, w.scope.Owner, txOpen, false, true
	w.local = appendComplete(w.local, "BEGIN", txOpen)
}

func isEnd(text []byte) bool { return string(text) == "commit" || string(text) == "rollback" }

// answerEnd answers the end of a transaction that the server never saw, or
// sends it whole to a reader that waits already.
func (w *wire) answerEnd(text []byte) error {
	if w.reading {
		prefix := append([]byte(w.held), ';')
		w.expect(answer{skip: "C", shift: len(prefix)})
		w.out = appendQuery(w.out, prefix, text)
		w.held = ""
		return nil
	}
	w.held, w.status = "", txIdle
	w.local = appendComplete(w.local, strings.ToUpper(string(text)), txIdle)
	return nil
}

// prefix returns what stands before the text of a simple query, and the types
// of its answers.
func (w *wire) prefix() (text []byte, skip string) {
	begun := w.status == txOpen
	if w.held != "" {
		text, skip = append(append(text, w.held...), ';'), "C"
		w.held = ""
		if w.scope.Schema == "" && !w.needsFence() {
			return text, skip
		}
	} else if !w.needsPath() && !w.needsFence() {
		return nil, ""
	}
	switch {
	case w.needsFence():
		return append(w.appendFence(text), ';'), skip + "TDC"
	case begun || w.early:
		return w.prefixLocal(text, skip)
	}
	text = append(text, "select pg_catalog.set_config('search_path', "...)
	text = w.path.appendLiteral(text, w.scope.Schema)
	text = append(text, ", true)"...)
	return append(w.appendSetters(text), ';'), "TDC"
}

// prefixLocal is insertLocal for a simple query.
func (w *wire) prefixLocal(text []byte, skip string) ([]byte, string) {
	text, skip = append(w.setLocal(text), ';'), skip+"C"
	if w.strict {
		text, skip = append(w.setLocalRole(text), ';'), skip+"C"
	}
	if !w.needsTimeouts() {
		return text, skip
	}
	for _, t := range w.timeouts() {
		if t.ms > 0 {
			text, skip = append(t.setLocal(text), ';'), skip+"C"
		}
	}
	return text, skip
}

// setLocal is a utility command: unlike a select it takes no snapshot, so that
// SET TRANSACTION may still follow.
func (w *wire) setLocal(b []byte) []byte {
	return w.path.append(append(b, "set local search_path to "...), w.scope.Schema)
}

// appendFence adds the fence with its path as a literal.
func (w *wire) appendFence(b []byte) []byte {
	if w.strict {
		b = append(b, strictBefore...)
	} else {
		b = append(b, fenceBefore...)
	}
	if w.temps {
		b = append(b, noTempObjects...)
	} else {
		b = append(b, noTemps...)
	}
	b = append(b, fenceMiddle...)
	b = w.path.appendLiteral(b, w.scope.Schema)
	return w.appendSetters(append(b, fenceBehind...))
}

// appendSetters adds what follows the path's set_config in a select.
func (w *wire) appendSetters(b []byte) []byte {
	if w.strict {
		b = w.appendSetRole(b)
	}
	if !w.needsTimeouts() {
		return b
	}
	for _, t := range w.timeouts() {
		if t.ms > 0 {
			b = t.appendSetter(b)
		}
	}
	return b
}
