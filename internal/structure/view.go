package structure

import (
	"slices"
	"strings"

	"github.com/gormtenancy/gormtenancy/internal/sqltext"
)

// sparesQualifiers is the first server that writes columns without their table's name
// in a view of one table.
const sparesQualifiers = 16

// plainView takes the qualifiers out of a view's text that a newer server does not
// write: those of the only table, outside of subqueries.
func plainView(text string) string {
	tokens := slices.Collect(sqltext.Tokens(text))
	from, to, ok := onlyItem(tokens)
	if !ok {
		return text
	}
	alias := ""
	for i, depth := from, 0; i < to; i++ {
		depth = nested(depth, tokens[i])
		if tokens[i].Kind == sqltext.Name && depth == 0 {
			alias = tokens[i].Text
		}
	}
	var b strings.Builder
	var subqueries []bool // of the open parentheses
	kept := 0
	for i, t := range tokens {
		switch {
		case t.Is("("):
			subqueries = append(subqueries, beginsQuery(tokens[i+1:]))
		case t.Is(")") && len(subqueries) > 0:
			subqueries = subqueries[:len(subqueries)-1]
		case (i < from || i >= to) && t.Kind == sqltext.Name && t.Text == alias && i+2 < len(tokens) &&
			tokens[i+1].Is(".") && tokens[i+2].Kind == sqltext.Name && !tokens[max(0, i-1)].Is(".") && !slices.Contains(subqueries, true):
			b.WriteString(text[kept:t.Start])
			kept = tokens[i+1].End
		}
	}
	return b.String() + text[kept:]
}

func nested(depth int, t sqltext.Token) int {
	switch {
	case t.Is("("):
		return depth + 1
	case t.Is(")"):
		return depth - 1
	}
	return depth
}

func beginsQuery(tokens []sqltext.Token) bool {
	return len(tokens) > 0 && (tokens[0].Word("select") || tokens[0].Word("with") || tokens[0].Word("values"))
}

// onlyItem returns where the only item of a query's FROM stands. ok is false if there
// is another number of them.
func onlyItem(tokens []sqltext.Token) (from, to int, ok bool) {
	depth := 0
	for i, t := range tokens {
		depth = nested(depth, t)
		if depth > 0 {
			continue
		}
		switch {
		case t.Word("union"), t.Word("intersect"), t.Word("except"):
			return 0, 0, false
		case from == 0 && t.Word("from"):
			from = i + 1
		case from > 0 && to == 0 && endsFrom(t):
			to = i
		case from > 0 && to == 0 && (t.Is(",") || t.Word("tablesample")):
			return 0, 0, false
		}
	}
	if to == 0 {
		to = len(tokens)
	}
	if from == 0 || from == to || tokens[from].Is("(") && !beginsQuery(tokens[from+1:]) {
		return 0, 0, false
	}
	return from, to, true
}

func endsFrom(t sqltext.Token) bool {
	if t.Is(";") {
		return true
	}
	for _, word := range []string{"where", "group", "having", "window", "order", "limit", "offset", "fetch", "for"} {
		if t.Word(word) {
			return true
		}
	}
	return false
}
