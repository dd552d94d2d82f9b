package sqltext

import "strings"

type tokenKind uint8

const (
	endOfText tokenKind = iota
	bare                // unquoted name or keyword
	quoted              // "name", U&"name" without escapes
	opaque              // U&"name" with escapes
	plain               // 'literal'
	literal             // any other literal or parameter
	number
	leftParen
	rightParen
	comma
	dot
	semicolon
	operator // any other character, one at a time
)

// token is a piece of the text; of quoted names and plain literals only what
// is between the quotes.
type token struct {
	kind       tokenKind
	word       word // of bare, if it is one that matters
	start, end int
}

// lexer splits text as PostgreSQL's scan.l does, as far as it matters where
// names, literals and comments begin and end.
type lexer struct {
	text string
	pos  int
	// broken is set when a literal, quoted name or comment does not end.
	broken bool
}

// Character classes.
const (
	cOperator uint8 = iota
	cSpace
	cName // begins a name
	cDigit
	cQuote
	cDouble
	cDollar
	cDash
	cSlash
	cLeft
	cRight
	cComma
	cDot
	cSemicolon
)

var class = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c == ' ' || c >= '\t' && c <= '\r':
			t[c] = cSpace
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80:
			t[c] = cName
		case c >= '0' && c <= '9':
			t[c] = cDigit
		}
	}
	for i, c := range []byte("'\"$-/(),.;") {
		t[c] = cQuote + uint8(i)
	}
	return t
}()

func (l *lexer) next() token {
	for l.pos < len(l.text) {
		start := l.pos
		switch c := class[l.text[start]]; c {
		case cSpace:
			l.pos++
			continue
		case cDash, cSlash:
			if l.comment() {
				continue
			}
			l.pos++
			return token{operator, none, start, l.pos}
		case cName:
			return l.name()
		case cDigit:
			l.number()
			return token{number, none, start, l.pos}
		case cQuote:
			l.pos++
			return token{plain, none, start + 1, l.until('\'')}
		case cDouble:
			l.pos++
			return token{quoted, none, start + 1, l.until('"')}
		case cDollar:
			return l.dollar()
		default:
			l.pos++
			return token{punctuation[c], none, start, l.pos}
		}
	}
	return token{endOfText, none, l.pos, l.pos}
}

var punctuation = [...]tokenKind{
	cOperator: operator, cLeft: leftParen, cRight: rightParen,
	cComma: comma, cDot: dot, cSemicolon: semicolon,
}

// comment skips a comment if one begins here.
func (l *lexer) comment() bool {
	rest := l.text[l.pos:]
	switch {
	case strings.HasPrefix(rest, "--"):
		l.line()
	case strings.HasPrefix(rest, "/*"):
		l.block()
	default:
		return false
	}
	return true
}

func (l *lexer) line() {
	for l.pos < len(l.text) && l.text[l.pos] != '\n' && l.text[l.pos] != '\r' {
		l.pos++
	}
}

func (l *lexer) block() {
	depth := 0
	for l.pos+1 < len(l.text) {
		switch {
		case l.text[l.pos] == '/' && l.text[l.pos+1] == '*':
			depth++
			l.pos += 2
		case l.text[l.pos] == '*' && l.text[l.pos+1] == '/':
			depth--
			l.pos += 2
		default:
			l.pos++
		}
		if depth == 0 {
			return
		}
	}
	l.pos, l.broken = len(l.text), true
}

// until moves behind the next quote that is not doubled and returns where the
// contents end.
func (l *lexer) until(quote byte) int {
	for l.pos < len(l.text) {
		if l.text[l.pos] != quote {
			l.pos++
			continue
		}
		l.pos++
		if l.pos == len(l.text) || l.text[l.pos] != quote {
			return l.pos - 1
		}
		l.pos++
	}
	l.broken = true
	return l.pos
}

func (l *lexer) number() {
	for l.pos < len(l.text) {
		if c := l.text[l.pos]; class[c] != cDigit && (class[c] != cName || c >= 0x80) && c != '.' {
			return
		}
		l.pos++
	}
}

// name reads a name, or the literal or quoted name that a letter introduces.
func (l *lexer) name() token {
	start := l.pos
	for l.pos < len(l.text) {
		if c := class[l.text[l.pos]]; c != cName && c != cDigit && c != cDollar {
			break
		}
		l.pos++
	}
	if l.pos-start == 1 && l.pos < len(l.text) {
		if t, ok := l.introduced(start); ok {
			return t
		}
	}
	return token{bare, keyword(l.text[start:l.pos]), start, l.pos}
}

// introduced reads the literal or quoted name behind a single letter: e, b, x
// or n and a quote, u& and either quote.
func (l *lexer) introduced(start int) (token, bool) {
	rest := l.text[l.pos:]
	switch l.text[start] | 0x20 {
	case 'e':
		if rest[0] == '\'' {
			l.escaped()
			return token{literal, none, start, l.pos}, true
		}
	case 'b', 'x', 'n':
		if rest[0] == '\'' {
			l.pos++
			l.until('\'')
			return token{literal, none, start, l.pos}, true
		}
	case 'u':
		if strings.HasPrefix(rest, "&'") {
			l.pos += 2
			l.until('\'')
			return token{literal, none, start, l.pos}, true
		}
		if strings.HasPrefix(rest, `&"`) {
			l.pos += 2
			t := token{kind: quoted, start: l.pos}
			t.end = l.until('"')
			if strings.IndexByte(l.text[t.start:t.end], '\\') >= 0 {
				t.kind = opaque
			}
			return t, true
		}
	}
	return token{}, false
}

// escaped skips a literal with escapes (E), in which a backslash hides the next character,
// together with its continuations on following lines, in which it does too.
func (l *lexer) escaped() {
	for again := true; again; again = l.continued() {
		l.pos++ // the opening quote
		for closed := false; !closed; {
			if l.pos >= len(l.text) {
				l.pos, l.broken = len(l.text), true
				return
			}
			switch l.text[l.pos] {
			case '\\':
				l.pos += 2
			case '\'':
				l.pos++
				if closed = l.pos >= len(l.text) || l.text[l.pos] != '\''; !closed {
					l.pos++
				}
			default:
				l.pos++
			}
		}
	}
}

// continued reports whether the literal goes on behind white space with at
// least one line break, and moves to the quote if so.
func (l *lexer) continued() bool {
	back, lines := l.pos, false
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; {
		case c == '\n' || c == '\r':
			lines = true
			l.pos++
		case class[c] == cSpace:
			l.pos++
		case strings.HasPrefix(l.text[l.pos:], "--"):
			l.line()
		case c == '\'' && lines:
			return true
		default:
			l.pos = back
			return false
		}
	}
	l.pos = back
	return false
}

// dollar reads $1 or $tag$...$tag$.
func (l *lexer) dollar() token {
	start := l.pos
	l.pos++
	for l.pos < len(l.text) && class[l.text[l.pos]] == cDigit {
		l.pos++
	}
	if l.pos > start+1 {
		return token{literal, none, start, l.pos}
	}
	for l.pos < len(l.text) && (class[l.text[l.pos]] == cName || class[l.text[l.pos]] == cDigit) {
		l.pos++
	}
	if l.pos == len(l.text) || l.text[l.pos] != '$' {
		l.pos = start + 1
		return token{operator, none, start, l.pos}
	}
	l.pos++
	tag := l.text[start:l.pos]
	if n := strings.Index(l.text[l.pos:], tag); n >= 0 {
		l.pos += n + len(tag)
	} else {
		l.pos, l.broken = len(l.text), true
	}
	return token{literal, none, start, l.pos}
}
