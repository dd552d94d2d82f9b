package pgscope

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
)

// Read gives pgx the server's messages without the answers to what the wire
// inserted.
func (w *wire) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	w.readMu.Lock()
	defer w.readMu.Unlock()
	for {
		w.mu.Lock()
		n := w.deliver(p)
		w.reading = n == 0
		w.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		if w.broken != nil {
			return 0, w.broken
		}
		if err := w.fill(); err != nil {
			return 0, err
		}
	}
}

// fill reads more bytes of the server, at least one.
func (w *wire) fill() error {
	if w.r > 0 {
		w.w = copy(w.in, w.in[w.r:w.w])
		w.r = 0
	}
	if w.w == len(w.in) {
		w.in = append(w.in, make([]byte, len(w.in))...)
	}
	n, err := w.Conn.Read(w.in[w.w:])
	w.w += n
	if n > 0 {
		return nil // the error, if any, will come again
	}
	return err
}

// deliver copies to p what is ready for pgx.
func (w *wire) deliver(p []byte) int {
	if n := copy(p, w.local); n > 0 {
		w.local = w.local[:copy(w.local, w.local[n:])]
		return n
	}
	n := 0
	for n < len(p) {
		switch {
		case w.pass > 0:
			c := copy(p[n:], w.in[w.r:min(w.w, w.r+w.pass)])
			if c == 0 {
				return n
			}
			n, w.r, w.pass = n+c, w.r+c, w.pass-c
		case w.drop > 0:
			c := min(w.drop, w.w-w.r)
			if c == 0 {
				return n
			}
			w.r, w.drop = w.r+c, w.drop-c
		case !w.next():
			return n
		}
	}
	return n
}

// next decides about the message at the head of the buffer: pass or drop. It
// returns false if more bytes are needed first, or the stream is broken.
func (w *wire) next() bool {
	if w.broken != nil || w.w-w.r < headerLen {
		return false
	}
	t := w.in[w.r]
	size := 1 + int(binary.BigEndian.Uint32(w.in[w.r+1:]))
	if size < headerLen || t == 'Z' && size != headerLen+1 {
		w.broken = fmt.Errorf("%w: %q of length %d", errProtocol, t, size-1)
		return false
	}
	if w.needsBody(t) && w.w-w.r < size {
		return false
	}
	if w.status == txStarting {
		if t == 'Z' {
			w.status = w.in[w.r+headerLen]
		}
		w.pass = size
		return true
	}
	return w.dispose(t, size)
}

// needsBody lists the types whose content the wire looks at.
func (w *wire) needsBody(t byte) bool {
	return t == 'Z' || t == 'C' || t == 'S' || t == 'E' || t == 't' || t == 'T' && w.describing
}

func (w *wire) dispose(t byte, size int) bool {
	body := w.in[w.r+headerLen : w.r+min(size, w.w-w.r)]
	switch t {
	case 'N', 'A': // may come at any time
		w.pass = size
		return true
	case 'S':
		if w.reported(body); w.broken != nil {
			return false
		}
		w.pass = size
		return true
	case 'Z':
		if n := len(w.pending); n == 0 || n == 1 && w.inGroup {
			w.broken = fmt.Errorf("%w: %q before the end of a group", errProtocol, t)
			return false
		}
		w.ready(body[0])
		w.pass = size
		return true
	case 'E':
		w.pass = w.failed(size)
		return true
	}
	if len(w.pending) > 0 {
		a := &w.pending[0]
		if a.lead > 0 && t == '3' {
			a.lead--
			w.pass = size
			return true
		}
		if a.skip != "" {
			return w.skip(a, t, size)
		}
	}
	switch t {
	case 'C':
		w.completed(body)
	case 't', 'T':
		w.describes(t, body)
	}
	w.pass = size
	return true
}

// skip drops the next answer to what the wire inserted.
func (w *wire) skip(a *answer, t byte, size int) bool {
	if a.skip[0] != t {
		w.broken = fmt.Errorf("%w: got %q for %q", errProtocol, t, a.skip[0])
		return false
	}
	if a.parses && t == '1' && len(a.skip) == len("12DC") {
		*a.kept = true
	}
	if a.skip = a.skip[1:]; a.skip == "" && a.fenced {
		w.unfenced = false
	}
	w.drop = size
	return true
}

// ready ends a group.
func (w *wire) ready(status byte) {
	w.status, w.describing = status, false
	if w.held != "" {
		w.status = txOpen // a ping went ahead of the BEGIN
	}
	if w.status == txIdle {
		w.dirty = false
	}
	if len(w.pending) > 0 {
		w.pending = w.pending[:copy(w.pending, w.pending[1:])]
	}
}

// completed looks at the tag of a command of the client's.
func (w *wire) completed(body []byte) {
	tag := body[:max(0, bytes.IndexByte(body, 0))]
	word, rest, _ := bytes.Cut(tag, []byte{' '})
	switch string(word) {
	case "SET", "RESET",
		"ROLLBACK": // TO SAVEPOINT takes a SET back
		w.dirty = true
	case "COMMIT": // AND CHAIN begins a transaction without a path
		w.dirty, w.untimed = true, true
	case "DISCARD", "DEALLOCATE":
		if string(rest) == "ALL" {
			w.plain, w.timed = kept{}, kept{}
		}
	}
}

// reported notices a path that somebody else set, where the server tells (18
// and later report search_path), and settings under which texts cannot be read.
func (w *wire) reported(body []byte) {
	name, rest, ok := bytes.Cut(body, []byte{0})
	value, _, _ := bytes.Cut(rest, []byte{0})
	if ok && !readable(string(name), string(value)) {
		w.broken = errUnreadable
		return
	}
	if !ok || string(name) != "search_path" || w.status != txOpen {
		return
	}
	if !bytes.Equal(value, w.path.append(nil, w.scope.Schema)) {
		w.dirty = true
	}
}

// failed handles an ErrorResponse: the server skips the rest of the group, and
// a position in the text counts from where the client's text begins. It
// returns the message's size.
func (w *wire) failed(size int) int {
	if len(w.pending) == 0 {
		return size
	}
	a := &w.pending[0]
	if a.skip != "" {
		w.rejected(a, errorCode(w.in[w.r:w.r+size]))
	}
	a.skip, a.lead = "", 0
	if a.shift == 0 {
		return size
	}
	fixed := shiftPosition(w.in[w.r:w.r+size], a.shift)
	// The corrected message is never longer: it takes the end of its place.
	w.r += size - len(fixed)
	copy(w.in[w.r:], fixed)
	return len(fixed)
}

// rejected handles an error that came before the answers to what the wire
// inserted were complete.
func (w *wire) rejected(a *answer, code string) {
	w.unfenced = w.unfenced || a.fenced
	if w.strict && !a.fenced && noRoleToTake(code) || code == "42501" && w.strict {
		w.refused = refusal{code: code, roleless: true}
		return
	}
	switch code {
	case fenceCode:
		if !w.temps { // the other fence
			w.temps, w.plain.fence, w.timed.fence = true, false, false
		}
	case missingCode: // somebody deallocated what he could not name
		// Only this one is known to be gone: the others may have come since.
		if a.kept != nil {
			*a.kept = false
		}
	case thereCode: // one of the wire's own, thought to be gone with the others
		if !a.parses {
			return
		}
		*a.kept = true
	default:
		return
	}
	w.refused = refusal{code: code, fenced: a.fenced}
}

// errorCode returns the SQLSTATE of an ErrorResponse.
func errorCode(msg []byte) string {
	for rest := msg[headerLen:]; len(rest) > 0 && rest[0] != 0; {
		field, more, _ := bytes.Cut(rest, []byte{0})
		if field[0] == 'C' {
			return string(field[1:])
		}
		rest = more
	}
	return ""
}

// shiftPosition returns an ErrorResponse with its P field (position, in
// characters from 1) made smaller by shift. Positions in the prefix itself go
// away. All that the wire puts before a text is ASCII, so bytes are characters.
func shiftPosition(msg []byte, shift int) []byte {
	fixed := append(make([]byte, 0, len(msg)), msg[:headerLen]...)
	rest := msg[headerLen:]
	for len(rest) > 0 && rest[0] != 0 {
		stop := bytes.IndexByte(rest, 0)
		if stop < 0 {
			return msg
		}
		if field := rest[:stop]; field[0] == 'P' {
			if n, err := strconv.Atoi(string(field[1:])); err == nil && n > shift {
				fixed = append(fixed, 'P')
				fixed = append(strconv.AppendInt(fixed, int64(n-shift), 10), 0)
			}
		} else {
			fixed = append(fixed, rest[:stop+1]...)
		}
		rest = rest[stop+1:]
	}
	if len(rest) == 0 {
		return msg // it does not end as it should
	}
	fixed = append(fixed, 0)
	binary.BigEndian.PutUint32(fixed[1:], uint32(len(fixed)-1))
	return fixed
}
