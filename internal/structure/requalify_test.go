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
		"nextval(('a.item'::text)::regclass)":                    `nextval(('"b c".item'::text)::regclass)`,
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
		"SELECT a.name, item": false, "-- a.item": false, "SELECT 'a.name', 'a b', 'b, c'": false,
		"format('%I.item', 'a')": true, `set_config('search_path', '"a", pg_temp', true)`: true, "SET LOCAL search_path TO a": true, "SET search_path = b": false,
	} {
		if Mentions(text, "a", known) != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
	for ddl, want := range map[string]string{
		"CREATE TRIGGER t BEFORE INSERT ON a.item EXECUTE FUNCTION a.f('x', 'a.item')":        "f",
		"CREATE TRIGGER t BEFORE INSERT ON a.item EXECUTE FUNCTION a.f('a')":                  "f",
		"ALTER TABLE a.item ALTER COLUMN x SET DEFAULT a.f((('a.item'::text))::varchar)":      "f",
		"CREATE TABLE a.item (x text DEFAULT a.f('a.item'))":                                  "f",
		"CREATE TABLE a.item (x text DEFAULT ('a.item'::text) CHECK ((x <> 'a.item'::text)))": "",
		"CREATE VIEW a.v AS SELECT f(E'\\\\ a.item')":                                         "f",
		"CREATE VIEW a.v AS SELECT 'a.item' AS x FROM a.item WHERE (x = 'a')":                 "",
		"SELECT nextval('a.item'::regclass), nextval(('a.item'::text)::regclass), f('b')":     "",
		"COMMENT ON FUNCTION a.f(x int) IS 'a.item'; CREATE TYPE a.mood AS ENUM ('a')":        "",
	} {
		if got := Passes(ddl, "a", known); got != want {
			t.Errorf("%s: passes to %q, want %q", ddl, got, want)
		}
	}
}
