package structure

import (
	"slices"
	"strings"

	"github.com/gormtenancy/gormtenancy/internal/sqltext"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Requalify returns SQL in which the qualifier of a schema's names is another schema's.
// known are the names of what is in the schema: a table may be called like the schema,
// and its columns are qualified too. Literals are left alone, but for names in them
// ('a.b'::regclass) and for a search path that a function sets.
func Requalify(text, from, to string, known map[string]bool) string {
	tokens := slices.Collect(sqltext.Tokens(text))
	var b strings.Builder
	kept := 0
	replace := func(t sqltext.Token, with string) {
		b.WriteString(text[kept:t.Start] + with)
		kept = t.End
	}
	for i, t := range tokens {
		switch {
		case qualifies(tokens, i, from, known):
			replace(t, tenant.QuoteIdent(to))
		case t.Kind == sqltext.Literal && castTo(tokens[i+1:], "regnamespace") && unquoted(t.Text) == from:
			replace(t, literal(tenant.QuoteIdent(to)))
		case t.Kind == sqltext.Literal && castTo(tokens[i+1:], "reg"):
			replace(t, literal(Requalify(t.Text, from, to, known)))
		case (t.Kind == sqltext.Literal || t.Kind == sqltext.Name) && t.Text == from && inPath(tokens[:i]):
			replace(t, literal(to))
		}
	}
	return b.String() + text[kept:]
}

// qualifies reports whether a token is the schema's name in front of one of its names.
func qualifies(tokens []sqltext.Token, i int, schema string, known map[string]bool) bool {
	if t := tokens[i]; t.Kind != sqltext.Name || t.Text != schema || i+2 >= len(tokens) || !tokens[i+1].Is(".") {
		return false
	}
	if i > 0 && tokens[i-1].Is(".") {
		return false
	}
	next := tokens[i+2]
	if next.Kind == sqltext.Mark {
		return i > 0 && tokens[i-1].Word("operator") || i > 1 && tokens[i-1].Is("(") && tokens[i-2].Word("operator")
	}
	return next.Kind == sqltext.Name && known[next.Text]
}

// castTo reports whether a cast to a type, or to one that begins so, follows.
func castTo(tokens []sqltext.Token, kind string) bool {
	// ('a.b'::text)::regclass is looked up anew each time.
	if len(tokens) > 3 && tokens[0].Is(":") && tokens[1].Is(":") && tokens[2].Word("text") && tokens[3].Is(")") {
		tokens = tokens[4:]
	}
	return len(tokens) > 2 && tokens[0].Is(":") && tokens[1].Is(":") && tokens[2].Kind == sqltext.Name && strings.HasPrefix(tokens[2].Text, kind) ||
		len(tokens) > 4 && tokens[0].Is(":") && tokens[1].Is(":") && tokens[2].Word("pg_catalog") && strings.HasPrefix(tokens[4].Text, kind)
}

// inPath reports whether the tokens end in SET search_path TO and some schemas.
func inPath(before []sqltext.Token) bool {
	for i := len(before) - 1; i >= 2; i-- {
		t := before[i]
		switch {
		case t.Word("to") || t.Is("="):
			return before[i-1].Word("search_path") && before[i-2].Word("set")
		case t.Kind != sqltext.Literal && t.Kind != sqltext.Name && !t.Is(","):
			return false
		}
	}
	return false
}

// unquoted reads a text that is one name, and returns "" for any other.
func unquoted(text string) string {
	tokens := slices.Collect(sqltext.Tokens(text))
	if len(tokens) != 1 || tokens[0].Kind != sqltext.Name {
		return ""
	}
	return tokens[0].Text
}

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
