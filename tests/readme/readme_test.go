package readme

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	tenantplugin "github.com/gormtenancy/gormtenancy/plugin"
	"github.com/gormtenancy/gormtenancy/tenant"
	"github.com/gormtenancy/gormtenancy/tenanttest"
)

func TestIsolation(t *testing.T) {
	db := tenanttest.Open(t, tenantplugin.WithModels(&Invoice{}))
	var ids []tenant.ID
	for range 10 {
		id, err := tenant.FromContext(tenanttest.Tenant(t, db))
		check(err)
		ids = append(ids, id)
	}
	tenanttest.Prove(t, db, tenanttest.ProveConfig{Tenants: ids, Operations: 2000})
}

// TestCode: the README's Go code stands in the examples, line by line.
func TestCode(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range append(files, "../../middleware/example_test.go") {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(squeeze(string(text)))
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) < 5 {
		t.Errorf("%d blocks of Go code, want more", len(blocks))
	}
	for _, b := range blocks {
		// An ellipsis stands for code that the reader can do without.
		for _, part := range regexp.MustCompile(`(?m)^\s*// \.\.\.\n`).Split(b[1], -1) {
			if !strings.Contains(all.String(), squeeze(part)) {
				t.Errorf("in no example:\n%s", part)
			}
		}
	}
}

// squeeze takes out what indentation and alignment put in.
func squeeze(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

// TestLinks: the files that the README names are there.
func TestLinks(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile("(?s)```.*?```|`[^`]*`").ReplaceAllString(string(readme), "code")
	links := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(text, -1)
	if len(links) < 10 {
		t.Errorf("%d links, want more", len(links))
	}
	for _, l := range links {
		if _, err := os.Stat(filepath.Join("../..", l[1])); err != nil {
			t.Errorf("a dead link: %v", err)
		}
	}
}
