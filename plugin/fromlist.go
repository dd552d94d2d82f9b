package tenantplugin

import (
	"slices"

	"github.com/gormtenancy/gormtenancy/internal/sqltext"
)

// fromList reads a FROM list as GORM's Table takes it (`a AS x, b JOIN c ON ...`).
// It is no parser: what stands in subqueries, arguments and conditions is an
// application's own SQL.
type fromList struct {
	tokens []sqltext.Token
	at     int
}

func newFromList(text string) *fromList {
	return &fromList{tokens: slices.Collect(sqltext.Tokens(text))}
}

// peek returns the token n places ahead, or an empty one.
func (l *fromList) peek(n int) sqltext.Token {
	if l.at+n >= len(l.tokens) {
		return sqltext.Token{}
	}
	return l.tokens[l.at+n]
}

// schemas returns the schemas that are written out in front of the list's tables,
// as PostgreSQL would fold them.
func (l *fromList) schemas() (found []string) {
	table := true // the next name is a table's
	for ; l.at < len(l.tokens); l.at++ {
		switch t := l.peek(0); {
		case t.Is("("):
			if !table || isQuery(l.peek(1)) {
				l.skip()
				table = false
			}
		case t.Is(","), t.Word("join"), t.Word("only"), t.Word("lateral"), t.Word("from"), t.Word("table"):
			table = true
		case table && t.Kind == sqltext.Name:
			if l.peek(1).Is(".") {
				found = append(found, t.Text)
			}
			table = false
		}
	}
	return found
}

// skip goes to the parenthesis that closes the one at hand.
func (l *fromList) skip() {
	for depth := 0; l.at < len(l.tokens); l.at++ {
		switch t := l.tokens[l.at]; {
		case t.Is("("):
			depth++
		case t.Is(")"):
			if depth--; depth == 0 {
				return
			}
		}
	}
}

func isQuery(t sqltext.Token) bool { return t.Word("select") || t.Word("values") || t.Word("with") }
