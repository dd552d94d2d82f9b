package sqltext

import (
	"iter"
	"strings"
)

// TokenKind says what a Token is.
type TokenKind uint8

// The kinds.
const (
	Mark    TokenKind = iota // one character of punctuation, or of an operator
	Name                     // a name or a keyword, quoted or not
	Literal                  // a plain 'literal'
	Opaque                   // any other literal, a number or a parameter
)

// Token is a piece of a text. White space and comments lie between tokens.
type Token struct {
	Kind TokenKind
	// Text is a name as PostgreSQL reads it, without quotes and folded if it had
	// none, and what a plain literal says; of the rest it is what stands there.
	Text string
	// Quoted is whether a name is, so that it is no keyword.
	Quoted bool
	// Start and End are where it stands in the text, quotes included.
	Start, End int
}

// Tokens returns the tokens of a text, without those behind a literal or a quoted
// name that does not end.
func Tokens(text string) iter.Seq[Token] {
	return func(yield func(Token) bool) {
		l := lexer{text: text}
		for {
			t := l.next()
			if t.kind == endOfText || l.broken || !yield(l.token(t)) {
				return
			}
		}
	}
}

// token is called when the lexer stands behind t.
func (l *lexer) token(t token) Token {
	out := Token{Kind: Mark, Start: t.start, End: l.pos, Text: l.text[t.start:t.end]}
	switch t.kind {
	case bare:
		out.Kind, out.Text = Name, strings.ToLower(out.Text)
	case quoted:
		out.Kind, out.Quoted, out.Text = Name, true, strings.ReplaceAll(out.Text, `""`, `"`)
		out.Start--
		if out.Start > 1 && l.text[out.Start-1] == '&' {
			out.Start -= 2
		}
	case plain:
		out.Kind, out.Text = Literal, strings.ReplaceAll(out.Text, "''", "'")
		out.Start--
	case opaque, literal, number:
		out.Kind = Opaque
	}
	return out
}

// Word reports whether a token is a keyword, given in lower case.
func (t Token) Word(word string) bool { return t.Kind == Name && !t.Quoted && t.Text == word }

// Is reports whether a token is that character.
func (t Token) Is(mark string) bool { return t.Kind == Mark && t.Text == mark }
