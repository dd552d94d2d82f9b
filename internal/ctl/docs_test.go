package ctl

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestDocumentedFields: docs/tenantctl.md names every field of every document, and
// every exit code.
func TestDocumentedFields(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/tenantctl.md")
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	for _, doc := range []any{
		failure{},
		build{},
		initialized{},
		shardList{},
		change{},
		tenantView{},
		tenantList{},
		nameList{},
		eventList{},
		standing{},
		plan{},
		report{},
		rolesReport{},
		diagnosis{},
		outlierList{},
		quarantineList{},
		poolReport{},
		limitList{},
		limitChange{},
	} {
		for _, name := range jsonNames(reflect.TypeOf(doc)) {
			fields++
			if !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("%T: field %s is not documented", doc, name)
			}
			if name != strings.ToLower(name) {
				t.Errorf("%T: field %s is not in lower case", doc, name)
			}
		}
	}
	if fields < 100 {
		t.Errorf("only %d fields", fields)
	}
	for line := range strings.Lines(exitHelp) {
		code, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if code != "Exit" && !strings.Contains(string(text), "\n| "+code+" |") {
			t.Errorf("exit code %s is not documented", code)
		}
	}
}

// jsonNames returns the names of a struct's fields that programs see, and of those
// below.
func jsonNames(t reflect.Type) (names []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || !strings.HasPrefix(t.PkgPath(), "github.com/gormtenancy/") {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() && !f.Anonymous {
			continue
		}
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		} else if !f.Anonymous {
			names = append(names, f.Name)
		}
		names = append(names, jsonNames(f.Type)...)
	}
	return names
}
