package structure

import (
	"slices"
	"strings"

	"github.com/gormtenancy/gormtenancy/internal/sqltext"
)

// Mentions reports whether a text names the schema to find something in it, be it in a
// literal: in what a function executes, for instance. It does if it qualifies one of
// the known names, or has a literal that is a list of names with the schema's among them
// (an argument of format, a search path), or sets a search path and names it.
func Mentions(text, schema string, known map[string]bool) bool {
	tokens := slices.Collect(sqltext.Tokens(text))
	sets := slices.ContainsFunc(tokens, func(t sqltext.Token) bool { return t.Word("search_path") })
	for i, t := range tokens {
		switch {
		case qualifies(tokens, i, schema, known), sets && t.Kind == sqltext.Name && t.Text == schema:
			return true
		case t.Kind == sqltext.Literal && strings.Contains(t.Text, schema) &&
			(listsName(t.Text, schema) || Mentions(t.Text, schema, known)):
			return true
		}
	}
	return false
}

// listsName reports whether a text is a list of names, and has one.
func listsName(text, name string) (has bool) {
	wantsName := true
	for t := range sqltext.Tokens(text) {
		if wantsName && t.Kind != sqltext.Name || !wantsName && !t.Is(",") {
			return false
		}
		has = has || wantsName && t.Text == name
		wantsName = !wantsName
	}
	return has
}

// Passes returns the function to which DDL hands a text that mentions the schema, such
// as a trigger's argument, or "". A text that stands by itself, as a default or a
// comment, is data.
func Passes(ddl, schema string, known map[string]bool) string {
	tokens := slices.Collect(sqltext.Tokens(ddl))
	var open []string // whose arguments the parentheses hold, "" for nobody's
	list := false     // of columns, which has a name in front too
	for i, t := range tokens {
		switch {
		case i == 0 || tokens[i-1].Is(";") && len(open) == 0:
			list = t.Word("create") && i+1 < len(tokens) && listed[tokens[i+1].Text]
		case t.Is("("):
			open = append(open, caller(tokens[i-1], list && len(open) == 0))
		case t.Is(")") && len(open) > 0:
			open = open[:len(open)-1]
		case t.Kind == sqltext.Literal && !castTo(tokens[i+1:], "reg") && (listsName(t.Text, schema) || Mentions(t.Text, schema, known)),
			t.Kind == sqltext.Opaque && strings.Contains(t.Text, schema):
			if by := innermost(open); by != "" {
				return by
			}
		}
	}
	return ""
}

// listed is what CREATE makes with a list of columns or values.
var listed = map[string]bool{"table": true, "unlogged": true, "foreign": true, "type": true}

// grouping are words behind which a parenthesis holds nobody's arguments.
var grouping = map[string]bool{
	"check": true, "where": true, "using": true, "with": true, "when": true, "then": true, "else": true, "as": true, "and": true, "or": true,
	"not": true, "in": true, "any": true, "values": true, "from": true, "to": true, "by": true, "on": true, "default": true, "select": true,
}

// caller returns the function whose arguments a parenthesis behind t holds.
func caller(t sqltext.Token, columns bool) string {
	if t.Kind != sqltext.Name || columns || !t.Quoted && grouping[t.Text] {
		return ""
	}
	return t.Text
}

// innermost returns whose argument something is within parentheses, of which some only
// group.
func innermost(open []string) string {
	for _, by := range slices.Backward(open) {
		if by != "" {
			return by
		}
	}
	return ""
}
