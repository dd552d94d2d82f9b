package sqltext

import "strings"

// FNV-1a's parameters for 64 bits.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// normaliser writes a text anew, token by token, with a ? for each value.
type normaliser struct {
	lexer
	last  token // written last
	depth int   // of parentheses and brackets
	lists []list
	sum   uint64
	out   []byte
	cut   bool // there was more than out has room for
	buf   [512]byte
}

// list is one of which only the first element is written.
type list struct {
	depth int  // at which its commas stand
	rows  bool // of VALUES, which has no parenthesis around it
	fresh bool // nothing of it was read
}

func (n *normaliser) run() {
	for {
		t := n.next()
		switch {
		case t.kind == endOfText:
			return
		case n.broken:
			n.value(t)
			return
		}
		n.take(t)
	}
}

// take writes a token, unless it belongs to a list's further elements.
func (n *normaliser) take(t token) {
	if n.inList(t) {
		n.skip()
		return
	}
	switch t.kind {
	case plain, literal, number:
		n.value(t)
	case dot:
		if !n.number(t) {
			n.write(t, n.text[t.start:t.end])
		}
	case operator:
		if !n.sign(t) {
			n.mark(t)
		}
	case leftParen:
		n.open(t)
	case rightParen:
		n.close(t)
	case bare:
		n.write(t, n.text[t.start:t.end])
		if n.is(t, "values") {
			n.lists = append(n.lists, list{depth: n.depth, rows: true})
		}
	case quoted:
		n.write(t, `"`+n.text[t.start:t.end]+`"`)
	case opaque:
		n.write(t, `U&"`+n.text[t.start:t.end]+`"`)
	default:
		n.write(t, n.text[t.start:t.end])
	}
}

// inList keeps account of the innermost list, and reports whether t is the comma
// behind its first element.
func (n *normaliser) inList(t token) bool {
	if len(n.lists) == 0 {
		return false
	}
	l := &n.lists[len(n.lists)-1]
	if l.fresh && t.kind == bare && (t.word == wSelect || t.word == wWith || t.word == wValues || t.word == wTable) {
		n.lists = n.lists[:len(n.lists)-1] // a query
		return false
	}
	l.fresh = false
	if n.depth != l.depth {
		return false
	}
	if t.kind == comma {
		return true
	}
	if l.rows && t.kind != leftParen {
		n.lists = n.lists[:len(n.lists)-1]
	}
	return false
}

// skip moves behind the innermost list's elements and takes the token that ends
// the list.
func (n *normaliser) skip() {
	l := n.lists[len(n.lists)-1]
	n.lists = n.lists[:len(n.lists)-1]
	for depth := l.depth; ; {
		t := n.next()
		switch {
		case t.kind == endOfText || n.broken:
			return
		case depth == l.depth && (n.closes(t) || l.rows && t.kind != comma && t.kind != leftParen):
			n.take(t)
			return
		case n.opens(t):
			depth++
		case n.closes(t):
			depth--
		}
	}
}

func (n *normaliser) opens(t token) bool {
	return t.kind == leftParen || t.kind == operator && n.text[t.start] == '['
}

func (n *normaliser) closes(t token) bool {
	return t.kind == rightParen || t.kind == operator && n.text[t.start] == ']'
}

// open writes what opens a group, and begins a list behind IN and ARRAY.
func (n *normaliser) open(t token) {
	begins := n.is(n.last, "in") || n.is(n.last, "array")
	n.write(t, n.text[t.start:t.end])
	n.depth++
	if begins {
		n.lists = append(n.lists, list{depth: n.depth, fresh: true})
	}
}

func (n *normaliser) close(t token) {
	for len(n.lists) > 0 && n.lists[len(n.lists)-1].depth >= n.depth {
		n.lists = n.lists[:len(n.lists)-1]
	}
	n.depth--
	n.write(t, n.text[t.start:t.end])
}

// is reports whether a token is that unquoted word.
func (n *normaliser) is(t token, word string) bool {
	return t.kind == bare && strings.EqualFold(n.text[t.start:t.end], word)
}

// value writes a value: one ? for literals that continue each other.
func (n *normaliser) value(t token) {
	if n.last.kind != literal {
		t.kind = literal
		n.write(t, "?")
	}
}

// number writes a value if the dot begins one, as in .5.
func (n *normaliser) number(t token) bool {
	if !n.digit() {
		return false
	}
	n.lexer.number()
	n.value(t)
	return true
}

// digit reports whether one comes next.
func (l *lexer) digit() bool { return l.pos < len(l.text) && class[l.text[l.pos]] == cDigit }

// sign drops a sign if it belongs to a value.
func (n *normaliser) sign(t token) bool {
	if c := n.text[t.start]; c != '-' && c != '+' {
		return false
	}
	switch n.last.kind {
	case endOfText, operator, leftParen, comma:
	case bare:
		if !n.last.word.syntactic() {
			return false
		}
	default:
		return false
	}
	ahead := n.lexer
	next := ahead.next()
	return next.kind == number || next.kind == literal || next.kind == dot && ahead.digit()
}

// mark writes an operator's character.
func (n *normaliser) mark(t token) {
	switch c := n.text[t.start]; {
	case c == '[':
		n.open(t)
	case c == ']':
		n.close(t)
	case c > ' ' && c != 0x7f:
		n.write(t, n.text[t.start:t.end])
	}
}

// write appends a token's spelling, behind a space where one belongs.
func (n *normaliser) write(t token, as string) {
	if n.last.kind != endOfText && n.spaced(t) {
		n.put(' ')
	}
	for i := range len(as) {
		c := as[i]
		if t.kind == bare && c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		n.put(c)
	}
	n.last = t
}

func (n *normaliser) put(c byte) {
	n.sum = (n.sum ^ uint64(c)) * fnvPrime
	if n.cut = n.cut || len(n.out) == maxNormalised; !n.cut {
		n.out = append(n.out, c)
	}
}

// spaced reports whether a space goes before t. The text's own spaces do not
// count, but between the characters of an operator.
func (n *normaliser) spaced(t token) bool {
	switch t.kind {
	case comma, dot, rightParen, semicolon:
		return false
	case leftParen:
		if n.last.kind == quoted || n.last.kind == bare && !n.last.word.syntactic() {
			return false
		}
	case operator:
		if c := n.text[t.start]; c == '[' || c == ']' || c == ':' || n.last.kind == operator && n.last.end == t.start {
			return false
		}
	}
	switch n.last.kind {
	case leftParen, dot:
		return false
	case operator:
		c := n.text[n.last.start]
		return c != '[' && c != ':'
	}
	return true
}
