package structure

import "testing"

func TestPlainViews(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"SELECT t.a, t.* FROM t WHERE t.b > 1;":                    "SELECT a, t.* FROM t WHERE b > 1;",
		`SELECT i."A b" FROM "T" i;`:                               `SELECT "A b" FROM "T" i;`,
		"SELECT t.a FROM (t JOIN u USING (a));":                    "SELECT t.a FROM (t JOIN u USING (a));",
		"SELECT t.a FROM t, u;":                                    "SELECT t.a FROM t, u;",
		"SELECT t.a FROM t UNION SELECT u.a FROM u;":               "SELECT t.a FROM t UNION SELECT u.a FROM u;",
		"SELECT t.a, ( SELECT t.b + u.c FROM u) FROM t;":           "SELECT a, ( SELECT t.b + u.c FROM u) FROM t;",
		"SELECT s.a FROM ( SELECT t.a FROM t) s ORDER BY s.a;":     "SELECT a FROM ( SELECT t.a FROM t) s ORDER BY a;",
		"SELECT EXTRACT(day FROM t.a) FROM x.t LIMIT 1;":           "SELECT EXTRACT(day FROM a) FROM x.t LIMIT 1;",
		"SELECT g.a FROM generate_series(1, 2) g(a);":              "SELECT a FROM generate_series(1, 2) g(a);",
		"WITH w AS ( SELECT w.a FROM w) SELECT w.a, 'w.a' FROM w;": "WITH w AS ( SELECT w.a FROM w) SELECT a, 'w.a' FROM w;",
		"SELECT 1;": "SELECT 1;",
	} {
		if got := plainView(text); got != want {
			t.Errorf("%s became %s, want %s", text, got, want)
		}
	}
}
