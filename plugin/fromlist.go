package tenantplugin

import (
	"regexp"
	"strings"
)

// token matches one token of a FROM list: a comment, a quoted name, a literal, a
// name or number, or a character.
var token = regexp.MustCompile(`(?s)--[^\n]*|/\*.*?\*/|"(?:[^"]|"")*"|'(?:[^']|'')*'|[\pL_][\pL\pN_$]*|\S`)

// fromList reads a FROM list as GORM's Table takes it (`a AS x, b JOIN c ON ...`).
// It is no parser: what stands in subqueries, arguments and conditions is an
// application's own SQL.
type fromList struct {
	tokens []string
	at     int
}

func newFromList(text string) *fromList {
	all := token.FindAllString(text, -1)
	l := &fromList{tokens: all[:0]}
	for _, t := range all {
		if !strings.HasPrefix(t, "--") && !strings.HasPrefix(t, "/*") {
			l.tokens = append(l.tokens, t)
		}
	}
	return l
}

// peek returns the token n places ahead in lower case, or "".
func (l *fromList) peek(n int) string {
	if l.at+n >= len(l.tokens) {
		return ""
	}
	return strings.ToLower(l.tokens[l.at+n])
}

// schemas returns the schemas that are written out in front of the list's tables,
// as PostgreSQL would fold them.
func (l *fromList) schemas() (found []string) {
	table := true // the next name is a table's
	for ; l.at < len(l.tokens); l.at++ {
		switch word := l.peek(0); {
		case word == "(":
			if !table || isQuery(l.peek(1)) {
				l.skip()
				table = false
			}
		case word == ",", word == "join", word == "only", word == "lateral", word == "from":
			table = true
		case table && isName(word):
			if l.peek(1) == "." {
				found = append(found, unquote(l.tokens[l.at]))
			}
			table = false
		}
	}
	return found
}

// skip goes to the parenthesis that closes the one at hand.
func (l *fromList) skip() {
	for depth := 0; l.at < len(l.tokens); l.at++ {
		switch l.tokens[l.at] {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return
			}
		}
	}
}

func isQuery(word string) bool { return word == "select" || word == "values" || word == "with" }

func isName(word string) bool {
	return word[0] == '"' || word[0] == '_' || word[0] >= 'a' && word[0] <= 'z' || word[0] >= 0x80
}

// unquote returns the name that PostgreSQL reads.
func unquote(name string) string {
	if name[0] != '"' {
		return strings.ToLower(name)
	}
	return strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
}
