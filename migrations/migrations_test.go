package migrations

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// TestControl: the files come in one unbroken order, can be undone, and name
// no schema, which is the run's business. That they apply is the registry's
// test, on a database.
func TestControl(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(Control(), "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("files %v, %v", names, err)
	}
	wellNamed := regexp.MustCompile(`^\d{5}_[a-z_]+\.sql$`)
	qualified := regexp.MustCompile(`(?i)\b(TABLE|ON|REFERENCES|FUNCTION|INTO|FROM)\s+"?[a-z_]+"?\.`)
	for _, name := range names {
		if !wellNamed.MatchString(name) {
			t.Errorf("%s: want 00000_name.sql", name)
		}
		text, err := fs.ReadFile(Control(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"-- +goose Up", "-- +goose Down"} {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s: no %q", name, part)
			}
		}
		if m := qualified.Find(text); m != nil {
			t.Errorf("%s: names a schema: %s", name, m)
		}
	}
}
