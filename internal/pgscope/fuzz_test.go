package pgscope

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// modelClient drives a wire as pgx and Conn do, against the model's server.
type modelClient struct {
	*testing.T
	dice   *dice
	server *modelServer
	wire   *wire
	owner  string // of the open transaction
	last   string // whose statements run without a fence
	n      int
}

var (
	scopeA    = Scope{Owner: "a", Schema: "a"}
	scopeB    = Scope{Owner: "b", Schema: "b", StatementTimeout: 7000, IdleTimeout: 9000}
	scopeRest = Scope{Owner: "rest"} // no schema: the path at rest
)

// text returns a client's statement.
func (c *modelClient) text() string {
	c.n++
	return []string{"select ", "select ", "update ", "fail "}[c.dice.roll(4)] + mark + string(rune('a'+c.n%26))
}

// write hands p to the wire in pieces.
func (c *modelClient) write(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), 1+c.dice.roll(64))
		if _, err := c.wire.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// hear reads what the client must hear, in pieces, and that there is no more.
func (c *modelClient) hear(want []byte) {
	c.Helper()
	var got []byte
	for len(got) < len(want) {
		p := make([]byte, 1+c.dice.roll(50))
		n, err := c.wire.Read(p)
		got = append(got, p[:n]...)
		if err != nil {
			c.Fatalf("%v after\n%q, want\n%q", err, got, want)
		}
	}
	if !bytes.Equal(got, want) {
		c.Fatalf("heard\n%q, want\n%q", got, want)
	}
	if n := c.wire.deliver(make([]byte, 1)); n != 0 || len(c.server.out) > 0 || c.server.wrong != nil {
		c.Fatalf("%d bytes more, and %q; %v", n, c.server.out, c.server.wrong)
	}
	c.server.heard = nil
}

// extended is a group of client messages.
func (c *modelClient) extended() []byte {
	var b []byte
	for range c.dice.roll(3) { // closing what the cache has dropped
		m, at := begin(b, 'C')
		b = end(append(m, "Sold\x00"...), at)
	}
	for range 1 + c.dice.roll(3) {
		name := []string{"s1", "s2"}[c.dice.roll(2)]
		b = appendParse(b, name, c.text())
		if c.dice.roll(2) == 1 {
			m, at := begin(b, 'D')
			b = end(append(append(m, 'S'), name+"\x00"...), at)
		}
		b = appendBind(b, name)
		b = appendExecute(b)
	}
	return append(b, 'S', 0, 0, 0, 4)
}

// step does one thing, and reports whether the connection is still usable.
func (c *modelClient) step() bool {
	s := []Scope{scopeA, scopeB, scopeRest}[c.dice.roll(3)]
	if c.wire.strict && s.Schema != "" {
		s.Role = "role of " + s.Owner
	}
	open := c.wire.open()
	switch c.dice.roll(8) {
	case 0:
		return c.unarmed()
	case 1:
		if !open {
			c.begin(s)
		}
	case 2:
		c.finish()
	case 3: // pgx's background reader came to wait
		if n, err := c.wire.Read(make([]byte, 9)); n != 0 || !errors.Is(err, io.EOF) {
			c.Fatalf("%d bytes out of nothing, %v", n, err)
		}
	case 4, 5:
		return c.simple(s)
	default:
		return c.statement(s, c.extended())
	}
	return true
}

// simple writes a simple query. In strict mode only a COPY may be one.
func (c *modelClient) simple(s Scope) bool {
	msg := appendQuery(nil, nil, []byte(c.text()))
	if !c.wire.strict {
		return c.statement(s, msg)
	}
	if c.dice.roll(4) > 0 {
		return c.statementAs(armCopy, s, msg)
	}
	before := len(c.server.ran)
	c.wire.set(armScope, s)
	if err := c.write(msg); err == nil || len(c.server.ran) != before {
		c.Fatalf("a simple query was sent in strict mode: %v", err)
	}
	return false
}

// unarmed writes what no scope was told for.
func (c *modelClient) unarmed() bool {
	c.wire.disarm()
	msg := appendQuery(nil, nil, []byte(c.text()))
	if c.dice.roll(2) == 1 {
		msg = c.extended()
	}
	before := len(c.server.ran)
	if err := c.write(msg); !errors.Is(err, errUnarmed) || len(c.server.ran) != before {
		c.Fatalf("it was sent: %v", err)
	}
	return false
}

func (c *modelClient) begin(s Scope) {
	c.wire.set(armBegin, s)
	waits := c.wire.reading
	if err := c.write(appendQuery(nil, nil, []byte("begin"))); err != nil {
		c.Fatal(err)
	}
	c.wire.disarm()
	c.owner = s.Owner
	if waits != (len(c.server.out) > 0) {
		c.Fatalf("a reader waits: %t, the server answered %q", waits, c.server.out)
	}
	if waits {
		c.hear(c.server.heard)
		return
	}
	c.hear(appendComplete(nil, "BEGIN", txOpen))
}

func (c *modelClient) finish() {
	word := []string{"commit", "rollback"}[c.dice.roll(2)]
	c.wire.set(armControl, Scope{})
	if err := c.write(appendQuery(nil, nil, []byte(word))); err != nil {
		c.Fatal(err)
	}
	c.wire.disarm()
	if want := c.server.heard; len(want) > 0 {
		c.hear(want)
		return
	}
	c.hear(appendComplete(nil, map[string]string{"commit": "COMMIT", "rollback": "ROLLBACK"}[word], txIdle))
}

// statement runs msg in the scope s: whatever of it ran, ran on the path of s.
func (c *modelClient) statement(s Scope, msg []byte) bool { return c.statementAs(armScope, s, msg) }

func (c *modelClient) statementAs(as arm, s Scope, msg []byte) bool {
	foreign := c.wire.open() && c.owner != s.Owner
	before, fences := len(c.server.ran), c.server.fences
	c.wire.set(as, s)
	err := c.write(msg)
	c.wire.disarm()
	if foreign {
		if !errors.Is(err, tenant.ErrMismatch) || len(c.server.ran) != before {
			c.Fatalf("%s in a transaction of %s was sent: %v", s.Owner, c.owner, err)
		}
		return false
	}
	if err != nil {
		c.Fatal(err)
	}
	path := ""
	if s.Schema != "" {
		path = tenant.QuoteIdent(s.Schema)
	}
	if s.Role != "" {
		path += tenant.QuoteIdent(s.Role)
	}
	path += noTimeouts
	if s.StatementTimeout > 0 {
		path = path[:len(path)-len(noTimeouts)] + "<7000,9000>"
	}
	switch {
	case c.server.fences > fences:
		c.last = s.Owner
	case len(c.server.ran) == before:
	case c.last == "":
		c.last = s.Owner // the first owner of all needs no fence
	case c.last != s.Owner:
		c.Fatalf("a statement of %q ran behind one of %q without a fence", s.Owner, c.last)
	}
	for _, ran := range c.server.ran[before:] {
		if !strings.HasPrefix(ran, path) {
			c.Fatalf("a statement of %q ran on the path %q", s.Owner, ran)
		}
	}
	c.hear(c.server.heard)
	return true
}

// FuzzWire has a client and a server of the protocol talk through the wire at
// random: extended and simple, transactions held back and not, errors of the
// client's and of what the wire inserted, notices at any place, every message
// split and coalesced anywhere in both directions. The client must hear what
// it would hear without the wire, and each statement run on its own path.
func FuzzWire(f *testing.F) {
	for i := range 64 {
		f.Add(seedOf(i), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, data []byte, visible bool) {
		p := newPath(nil)
		if visible {
			p = newPath([]string{`a schema's "name"`})
		}
		talk(t, data, p, false)
	})
}

// FuzzStrictWire is FuzzWire in strict mode: each statement also runs under its own
// role, and no text but a COPY's goes as a simple query.
func FuzzStrictWire(f *testing.F) {
	for i := range 64 {
		f.Add(seedOf(i))
	}
	f.Fuzz(func(t *testing.T, data []byte) { talk(t, data, newPath(nil), true) })
}

func seedOf(i int) []byte {
	seed := make([]byte, 400)
	for j := range seed {
		seed[j] = byte(j*j*(i+3) + j*i*7 + i)
	}
	return seed
}

func talk(t *testing.T, data []byte, p path, strict bool) {
	t.Helper()
	d := &dice{data}
	c := &modelClient{T: t, dice: d, server: newModelServer(d)}
	c.server.strict = strict
	c.wire = newWire(c.server, p, false, strict)
	c.wire.status = txIdle
	c.wire.settle()
	for len(d.data) > 0 && c.step() {
	}
}
