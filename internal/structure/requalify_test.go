package structure

import "testing"

func TestRequalify(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"item": true, "Odd \".x": true, "mood": true, "f": true, "a": true}
	for text, want := range map[string]string{
		"CREATE TABLE a.item (a a.mood);":                        `CREATE TABLE "b c".item (a "b c".mood);`,
		`SELECT a.name, "a".item.x, a.f(a.item.x) FROM a.item a`: `SELECT a.name, "b c".item.x, "b c".f("b c".item.x) FROM "b c".item a`,
		"nextval('a.item'::regclass), 'a.item'::text, 'a.item'":  `nextval('"b c".item'::regclass), 'a.item'::text, 'a.item'`,
		`'"a"."Odd "".x"'::regclass`:                             `'"b c"."Odd "".x"'::regclass`,
		"'a.f(a.mood)'::pg_catalog.regprocedure":                 `'"b c".f("b c".mood)'::pg_catalog.regprocedure`,
		"'a'::regnamespace, 'a'::text":                           `'"b c"'::regnamespace, 'a'::text`,
		"SET search_path TO 'a', 'public'\n AS $$a.item$$":       "SET search_path TO 'b c', 'public'\n AS $$a.item$$",
		"UPDATE x SET to = 'a'":                                  "UPDATE x SET to = 'a'",
		"x.a.item, a.* , 1 OPERATOR(a.+) 2, A.ITEM":              `x.a.item, a.* , 1 OPERATOR("b c".+) 2, "b c".ITEM`,
		"1 OPERATOR(a.*) 2":                                      `1 OPERATOR("b c".*) 2`,
	} {
		if got := Requalify(text, "a", "b c", known); got != want {
			t.Errorf("%s\nbecame %s\nwant   %s", text, got, want)
		}
	}
	for text, want := range map[string]bool{
		"BEGIN SELECT a.item; END": true, "EXECUTE 'SELECT * FROM a.item WHERE x = ''y'''": true, "EXECUTE 'EXECUTE ''TABLE a.item'''": true,
		"SELECT a.name, 'a', item": false, "-- a.item": false,
	} {
		if Mentions(text, "a", known) != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
}
