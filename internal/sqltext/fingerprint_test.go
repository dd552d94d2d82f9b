package sqltext

import (
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func TestNormalised(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ want, text string }{
		{`select * from "users" where "users"."id" = ? limit ?`, `SELECT * FROM "users" WHERE "users"."id" = $1 LIMIT 10`},
		{`select * from users where id in (?) and x = ?`, "select *\n\tfrom Users -- 'x'\nWHERE id IN ($1,$2 , $3)/* 'a /* b */ c' */and x=-1"},
		{
			`insert into "t"("a", "b") values (?, ?) on conflict do nothing returning "id"`,
			`INSERT INTO "t" ("a","b") VALUES ($1,$2),($3,default),(now(),'x') ON CONFLICT DO NOTHING RETURNING "id"`,
		},
		{`select (values (?)), (?) from (values (?, f(?))) as v(a, b)`, `SELECT (VALUES (1),(2)), (3) FROM (VALUES (1, f(2)), (3, f(4))) AS v (a, b)`},
		{`select a from t where (a, b) in ((?, ?)) or c in (select d from u where e in (?))`, `SELECT a FROM t WHERE (a,b) IN ((1,2),(3,4)) OR c IN (SELECT d FROM u WHERE e IN (1,2))`},
		{`select array[?] || array[?::int], x[?], t.*, - y`, `SELECT ARRAY[1,2,3] || ARRAY[1::int,2::int], x[1], t.*, -y`},
		{`select ?, ?, a - ?, a <= ?, a ->> ?, ?::date`, `SELECT -1, +.5, a-1, a<=-1e5, a->>'b', '2020-01-01'::date`},
		{`select ?, ?, ?, ?, ?, ?`, `SELECT E'\'--', U&'\0041', $$a'$b$'$$, $t$ $$ $t$, B'01', N'x'`},
		{`select ? from t`, "SELECT 'a'\n  'b' FROM t"},
		{`select "A""b", U&"\0041", x$$y$$`, `SELECT "A""b", U&"\0041", X$$y$$`},
		{
			`insert into t values (?) on conflict(a, b) do update set a = ?, b = ? returning a, b`,
			`INSERT INTO t VALUES (1) ON CONFLICT (a,b) DO UPDATE SET a=1, b=2 RETURNING a, b`,
		},
		{`select "a b", c`, "SELECT \"a\nb\",\x01 C"},
		{`select ?`, `SELECT 'never ends, "" /* `},
		{`select`, `SELECT /* never 'ends' `},
		{`select ?`, `SELECT "never ends`},
		{``, ` -- nothing`},
	} {
		if got := normalise(c.text).Text; got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestFingerprintIsStable(t *testing.T) {
	t.Parallel()
	const want = 0x2fb7a5a1a5a9a58
	for _, text := range []string{`SELECT 1`, `select $1`, " Select\n'x' -- y", strings.Repeat(" ", maxCached) + "SELECT 1"} {
		if p := Fingerprint(text); p.ID != want || p.Text != "select ?" {
			t.Errorf("%.50q: %#x, %q", text, p.ID, p.Text)
		}
	}
	h := fnv.New64a()
	h.Write([]byte("select ?"))
	if h.Sum64() != want {
		t.Errorf("FNV-1a is %#x", h.Sum64())
	}
	if got := NormalisedText(want); got != "select ?" {
		t.Errorf("the text is kept as %q", got)
	}
	if got := NormalisedText(1); got != "" {
		t.Errorf("an unknown fingerprint's text is %q", got)
	}
}

func TestListsOfAnyLength(t *testing.T) {
	t.Parallel()
	list := func(n int, one string) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }
	for _, form := range []string{`SELECT * FROM t WHERE a IN (%s) AND b`, `SELECT ARRAY[%s] FROM t`} {
		if a, b := Fingerprint(fmt.Sprintf(form, "1")), Fingerprint(fmt.Sprintf(form, list(20000, "$123"))); a != b {
			t.Errorf("%s and %s", a.Text, b.Text)
		}
	}
	const insert = `INSERT INTO t VALUES %s RETURNING a`
	if a, b := Fingerprint(fmt.Sprintf(insert, "(1,2)")), Fingerprint(fmt.Sprintf(insert, list(20000, "($1,$2)"))); a != b {
		t.Errorf("%s and %s", a.Text, b.Text)
	}
	if a, b := Fingerprint("SELECT f(1)"), Fingerprint("SELECT f(1, 2)"); a.ID == b.ID {
		t.Error("calls with one and two arguments are one")
	}
}

func TestLongTextsAreCutButToldApart(t *testing.T) {
	t.Parallel()
	long := "SELECT " + strings.Repeat("ä, ", 3000)
	a, b := Fingerprint(long+"b"), Fingerprint(long+"c")
	if a.ID == b.ID {
		t.Error("texts that differ at their ends have one fingerprint")
	}
	if len(a.Text) > maxNormalised+3 || !strings.HasSuffix(a.Text, "...") || !utf8.ValidString(a.Text) {
		t.Errorf("%d bytes, end %q", len(a.Text), a.Text[len(a.Text)-9:])
	}
}

func TestFingerprintDoesNotAllocate(t *testing.T) {
	const text = `SELECT * FROM "users" WHERE "users"."id" = $1`
	Fingerprint(text)
	if n := testing.AllocsPerRun(100, func() { Fingerprint(text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Other texts come and go: the table stays bounded, and what is asked for stays in it.
func TestPrintTable(t *testing.T) {
	t.Parallel()
	var table printTable
	kept := &Print{ID: 7, Text: "kept"}
	for i := range uint64(3 * slotsPrints) {
		table.keep(&Print{ID: i << 3})
		table.keep(&Print{ID: i*slotsPrints + 6})
		table.keep(kept)
		if table.find(7) != kept {
			t.Fatal("a fingerprint in use is forgotten")
		}
	}
}

func TestFingerprintsFromManyGoroutines(t *testing.T) {
	t.Parallel()
	var cache Cache
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 10000 {
				column := fmt.Sprintf("c%d", i)
				p := cache.fingerprint("SELECT " + column + " FROM t WHERE a = " + fmt.Sprint(i))
				if want := "select " + column + " from t where a = ?"; p.Text != want {
					t.Errorf("%q, want %q", p.Text, want)
				}
			}
		})
	}
	wg.Wait()
}

// secret has no byte that SQL, or the normaliser, writes by itself.
const secret = "\x01Zq7Secret\u00e9"

// hostile returns texts that hold payload and the secret as values, in every form.
func hostile(payload string) []string {
	payload = strings.ReplaceAll(secret+payload+secret, "\x00", "")
	doubled := strings.ReplaceAll(payload, "'", "''")
	escaped := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(payload)
	tag := "t"
	for strings.Contains(payload, "$"+tag+"$") || strings.HasSuffix(payload, "$"+tag) {
		tag += "t"
	}
	comment := strings.NewReplacer("/*", "", "*/", "", "*", "", "/", "").Replace(payload)
	line := strings.NewReplacer("\n", "", "\r", "").Replace(payload)
	values := []string{
		"'" + doubled + "'", "E'" + escaped + "'", "e'" + escaped + "'\n'" + escaped + "'", "U&'" + doubled + "'", "N'" + doubled + "'", "x'" + doubled + "'",
		"'" + doubled + "' \n '" + doubled + "'",
		"$" + tag + "$" + payload + "$" + tag + "$",
		"/*" + comment + "/*" + comment + "*/" + comment + "*/ 1", "--" + line + "\n1", "'it''s' -- '" + line + "\n",
	}
	var texts []string
	for _, v := range values {
		texts = append(texts,
			"SELECT "+v+" AS a", "SELECT f(a, "+v+", "+v+")", "UPDATE t SET a="+v+" WHERE b IN ("+v+","+v+")",
			"INSERT INTO t VALUES ("+v+", 1), ("+v+", 2) RETURNING a", "SELECT ARRAY["+v+", "+v+"], "+v,
			"SELECT "+v[:len(v)-1], v)
	}
	return texts
}

func mustHide(t *testing.T, payload string) {
	t.Helper()
	for _, text := range hostile(payload) {
		p := normalise(text)
		if lower := strings.ToLower(p.Text); strings.Contains(lower, "zq7") || strings.Contains(lower, "secret") {
			t.Errorf("%q shows in %q", text, p.Text)
		}
	}
}

func TestNoLiteralSurvives(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{
		"", "'", `\`, `\'`, "''", `"`, "--", "/*", "*/", "/* '", "$$", "$t$", "$t", "$", "\n", "'\n'", "E'", "U&'", ";", "')", "a'--\n", `\\'`, "\xff", "1.5e", ")]",
	} {
		mustHide(t, payload)
	}
}

// FuzzFingerprint looks for literals that survive, panics, and texts that do not
// suit a log.
func FuzzFingerprint(f *testing.F) {
	for _, text := range append(readOnly, notReadOnly...) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := normalise(text)
		if len(p.Text) > maxNormalised+3 || !utf8.ValidString(p.Text) || strings.ContainsFunc(p.Text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%q gives %q", text, p.Text)
		}
		if strings.ContainsRune(strings.ReplaceAll(p.Text, `"`, ""), '\'') && !strings.Contains(text, `"`) {
			t.Errorf("%q keeps a literal: %q", text, p.Text)
		}
		mustHide(t, text)
	})
}
