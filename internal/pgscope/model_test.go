package pgscope

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// mark is in every text of the model's client, and in nothing that the wire
// inserts.
const mark = "/*client*/"

// dice yields choices from a fuzzer's bytes, and 0 when they have run out.
type dice struct{ data []byte }

func (d *dice) roll(n int) int {
	if len(d.data) == 0 {
		return 0
	}
	v := int(d.data[0]) % n
	d.data = d.data[1:]
	return v
}

// modelServer answers the protocol as PostgreSQL does, so far as the wire
// cares. It writes down beside it what a client without a wire would hear.
type modelServer struct {
	net.Conn // nil: only what is defined here may be called
	dice     *dice
	in       []byte // frontend bytes that are no whole message yet
	out      []byte // answers that the wire has not read
	heard    []byte // of those, what is the client's
	status   byte
	skipping bool // after an error, until Sync
	inGroup  bool
	texts    map[string]string // prepared statements by name
	bound    string            // the unnamed portal's text
	path     string            // "" at rest
	role     string            // "" at rest
	timeouts [2]string         // "" at rest
	strict   bool
	ran      []string // path and text of each client statement that ran
	fences   int      // that were passed
	wrong    error
}

func newModelServer(d *dice) *modelServer {
	return &modelServer{dice: d, status: txIdle, texts: map[string]string{}}
}

func (s *modelServer) Write(p []byte) (int, error) {
	s.in = append(s.in, p...)
	for len(s.in) >= headerLen {
		size := 1 + int(binary.BigEndian.Uint32(s.in[1:]))
		if len(s.in) < size {
			break
		}
		s.message(s.in[0], s.in[headerLen:size])
		s.in = s.in[size:]
	}
	return len(p), nil
}

// Read returns some of what is there: answers arrive split and coalesced.
func (s *modelServer) Read(p []byte) (int, error) {
	if len(s.out) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 1+s.dice.roll(40))], s.out)
	s.out = s.out[n:]
	return n, nil
}

func (s *modelServer) message(t byte, body []byte) {
	if t == 'Q' {
		if s.inGroup {
			s.wrong = fmt.Errorf("trap 1: a simple query after extended messages without a Sync: %q", body)
		}
		s.query(string(body[:len(body)-1]))
		return
	}
	s.inGroup = t != 'S'
	if t == 'S' {
		s.skipping = false
		s.ready()
		return
	}
	if !s.skipping {
		s.extended(t, strings.Split(string(body), "\x00"))
	}
}

func (s *modelServer) extended(t byte, fields []string) {
	switch t {
	case 'P':
		s.texts[fields[0]] = fields[1]
		s.answer('1', mine(fields[1]), "")
	case 'B':
		text, ok := s.texts[fields[1]]
		if !ok {
			s.fail("no statement "+fields[1], 0, 0)
			return
		}
		s.bound = text
		switch params := s.bindParameters(fields); {
		case strings.HasPrefix(text, scopeSQL):
			s.bound = scopeSQL + params
		case !mine(text) && strings.Contains(text, fenceMiddle):
			s.bound = fenceBefore + params
		}
		s.answer('2', mine(text), "")
	case 'D':
		s.answer('n', true, "")
	case 'C':
		s.answer('3', true, "")
	case 'E':
		s.execute(s.bound, mine(s.bound), 0, 0)
	}
}

// bindParameters returns the texts of a Bind's parameters, which stand behind both
// names, the formats and the count: the path, of a strict one the role as setRole
// writes it, and the timeouts as a simple query would set them.
func (s *modelServer) bindParameters(fields []string) string {
	body := strings.Join(fields, "\x00")
	body = body[len(fields[0])+len(fields[1])+2+2:]
	n := binary.BigEndian.Uint16([]byte(body))
	body = body[2:]
	all := ""
	for i := range n {
		size := binary.BigEndian.Uint32([]byte(body))
		value := body[4 : 4+size]
		at := int(i)
		if !s.strict && at > 0 {
			at++
		}
		switch at {
		case 1:
			value = setRole + "'" + value + "', true)"
		case 2, 3:
			value = ", pg_catalog.set_config('" + timeoutNames[at-2] + "', '" + value + "', true)"
		}
		all, body = all+value, body[4+size:]
	}
	return all
}

// mine reports whether a text is the client's own.
func mine(text string) bool { return strings.Contains(text, mark) }

func (s *modelServer) query(text string) {
	pieces := strings.Split(text, ";")
	last := len(pieces) - 1
	shift := len(text) - len(pieces[last])
	for i, piece := range pieces {
		at := strings.Index(text, piece)
		if !s.execute(piece, i == last, at, shift) {
			break
		}
	}
	s.ready()
}

// execute runs one statement. at is where it begins in its message, and shift
// where the client's part of that begins.
func (s *modelServer) execute(text string, client bool, at, shift int) bool {
	word, _, _ := strings.Cut(text, " ")
	ends := word == "commit" || word == "rollback"
	switch {
	case s.status == txFailed && !ends, strings.HasPrefix(text, "fail"), !client && !ends && s.dice.roll(16) == 15:
		s.fail(text, at+1, shift)
		return false
	case word == "begin":
		s.status = txOpen
	case ends:
		s.status = txIdle
		s.rest()
	case strings.HasPrefix(text, "set local role "):
		s.role = text[len("set local role "):]
	case strings.HasPrefix(text, "set local ") && strings.Contains(text, "timeout to "):
		name, value, _ := strings.Cut(text[len("set local "):], " to ")
		s.timeouts[index(name == timeoutNames[1])] = value
	case !client:
		text := s.setTimeouts(text)
		if at := strings.LastIndex(text, setRole); at >= 0 {
			role, _, _ := strings.Cut(text[at+len(setRole)+1:], "'")
			s.role, text = "", text[:at]
			if role != noRole {
				s.role = tenant.QuoteIdent(role)
			}
		} else if s.strict && strings.HasPrefix(text, "select") {
			s.wrong = fmt.Errorf("a scope without a role: %q", text)
		}
		path, fence := strings.CutPrefix(text, fenceBefore)
		if fence {
			s.fences++
			path, _, _ = strings.Cut(path, fenceBehind)
		}
		if s.path = ""; strings.Contains(path, `"`) {
			s.path = path[strings.IndexByte(path, '"'):]
			s.path = s.path[:strings.IndexByte(s.path[1:], '"')+2]
		}
	default:
		s.ran = append(s.ran, fmt.Sprintf("%s%s<%s,%s>%s", s.path, s.role, s.timeouts[0], s.timeouts[1], text))
	}
	s.asides()
	if strings.HasPrefix(text, "select") {
		if s.inGroup || client {
			s.answer('D', client, text)
		} else {
			s.answer('T', client, "a column")
			s.answer('D', client, text)
		}
	}
	s.answer('C', client, strings.ToUpper(word))
	return true
}

var timeoutNames = [2]string{"statement_timeout", "idle_in_transaction_session_timeout"}

// noTimeouts is how a statement is written down that ran without.
const noTimeouts = "<,>"

// setTimeouts takes the timeouts from a scope, and returns the rest of it.
func (s *modelServer) setTimeouts(text string) string {
	rest := text
	for i, name := range timeoutNames {
		before, value, found := strings.Cut(text, ", pg_catalog.set_config('"+name+"', '")
		if found {
			s.timeouts[i], _, _ = strings.Cut(value, "'")
			rest = rest[:min(len(rest), len(before))]
		}
	}
	return rest
}

// rest is what a transaction leaves.
func (s *modelServer) rest() { s.path, s.role, s.timeouts = "", "", [2]string{} }

func (s *modelServer) fail(text string, position, shift int) {
	build := func(p int) []byte {
		b, at := begin(nil, 'E')
		b = append(b, "SERROR\x00M"...)
		b = appendCString(b, text)
		if p > 0 {
			b = appendCString(append(b, 'P'), fmt.Sprint(p))
		}
		return end(append(b, 0), at)
	}
	if s.inGroup {
		position, shift = 0, 0
	}
	s.out = append(s.out, build(position)...)
	s.heard = append(s.heard, build(max(0, position-shift))...) // of a prefix's error too
	s.skipping = s.inGroup
	if s.status == txOpen {
		s.status = txFailed
	}
}

func (s *modelServer) answer(t byte, client bool, text string) {
	b, at := begin(nil, t)
	if text != "" {
		b = appendCString(b, text)
	}
	b = end(b, at)
	s.out = append(s.out, b...)
	if client {
		s.heard = append(s.heard, b...)
	}
}

// asides are messages that may come at any time, and that are nobody's answer.
func (s *modelServer) asides() {
	for _, text := range []string{"N a notice", "A a notification", "Ssearch_path\x00somewhere", "Sother\x00value"} {
		if s.dice.roll(8) == 7 {
			s.answer(text[0], true, text[1:])
		}
	}
}

func (s *modelServer) ready() {
	if s.status == txIdle {
		s.rest()
	}
	s.asides()
	b := appendComplete(nil, "", s.status)
	b = b[bytes.IndexByte(b, 'Z'):]
	s.out, s.heard = append(s.out, b...), append(s.heard, b...)
}
