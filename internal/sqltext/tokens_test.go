package sqltext

import (
	"fmt"
	"strings"
	"testing"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	const text = `SELECT "A""b".Foo, 'it''s' /* "x" */, E'\'', 1.5, $1, U&"d" -- end
::regclass; $$a.b$$`
	var got []string
	for tok := range Tokens(text) {
		got = append(got, fmt.Sprintf("%d:%s", tok.Kind, tok.Text))
		if tok.Quoted != (tok.Kind == Name && strings.Contains(text[tok.Start:tok.End], `"`)) {
			t.Errorf("%+v stands for %s", tok, text[tok.Start:tok.End])
		}
	}
	want := `1:select 1:A"b 0:. 1:foo 0:, 2:it's 0:, 3:E'\'' 0:, 3:1.5 0:, 3:$1 0:, 1:d 0:: 0:: 1:regclass 0:; 3:$$a.b$$`
	if line := strings.Join(got, " "); line != want {
		t.Errorf("tokens %s, want %s", line, want)
	}
	for tok := range Tokens(`a 'b`) {
		if tok.Text != "a" {
			t.Errorf("token %+v of a literal without end", tok)
		}
	}
	for tok := range Tokens(text) {
		if tok.Text == `A"b` && text[tok.Start:tok.End] != `"A""b"` || tok.Text == "d" && text[tok.Start:tok.End] != `U&"d"` {
			t.Errorf("%+v stands for %s", tok, text[tok.Start:tok.End])
		}
	}
}
