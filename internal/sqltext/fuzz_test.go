package sqltext

import (
	"strings"
	"testing"
)

// FuzzClassify looks for panics and for answers that contradict each other.
func FuzzClassify(f *testing.F) {
	for _, text := range append(readOnly, notReadOnly...) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		facts := Classify(text)
		if facts.ReadOnly() && (facts.Escape() != "" || facts.SessionState() || facts.NeedsNoTransaction() || facts.BeginsTransaction() || facts.EndsTransaction()) {
			t.Errorf("%q is read only and yet %b", text, facts)
		}
		for _, more := range []string{"; DELETE FROM t", "\n; SET search_path = x"} {
			with := Classify(text + more)
			if with.ReadOnly() && !hides(text) {
				t.Errorf("%q hides %q", text, more)
			}
		}
		if got := Classify(strings.ToUpper(text)); isASCII(text) && !strings.ContainsAny(text, `"$'`) && got != facts {
			t.Errorf("%q: %b, in upper case %b", text, facts, got)
		}
	})
}

// hides reports whether what is appended to text would be inside a comment.
func hides(text string) bool {
	l := lexer{text: text + "\x00"}
	last := token{}
	for t := l.next(); t.kind != endOfText; t = l.next() {
		last = t
	}
	return l.broken || last.kind != operator || last.end != len(text)+1
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}
