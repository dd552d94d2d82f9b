package tenantplugin_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestHazardIndex keeps docs/hazards.md true: a row for each hazard, and in
// each row tests that exist.
func TestHazardIndex(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/hazards.md")
	if err != nil {
		t.Fatal(err)
	}
	tests, rows := testsIn(t, ".."), map[int]bool{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		n, err := strconv.Atoi(strings.TrimSpace(cells[0]))
		if err != nil {
			continue
		}
		if len(cells) != 5 || rows[n] {
			t.Errorf("row %d is there twice, or has %d cells", n, len(cells))
			continue
		}
		rows[n] = true
		names := testName.FindAllStringSubmatch(cells[4], -1)
		if len(names) == 0 {
			t.Errorf("row %d names no test", n)
		}
		for _, name := range names {
			if !tests.has(name[1], name[2]) {
				t.Errorf("row %d: there is no test %s in %s", n, name[2], name[1])
			}
		}
	}
	for n := 1; n <= 50; n++ {
		if rows[n] == (n == 37) {
			t.Errorf("row %d is missing, or should not be there", n)
		}
	}
	if tests.has("plugin", "TestNoSuch") || tests.has("plugin", "TestHazardIndex/no such") || tests.has("tenant", "TestHazardIndex") {
		t.Error("tests are found that do not exist")
	}
}

var testName = regexp.MustCompile(`\x60([a-z/]+)\.(Test[^\x60]*)\x60`)

// testNames are the tests of the module, folder.Test: each with the string
// literals of its file, among which are its subtests' names.
type testNames map[string]map[string]bool

func (n testNames) has(folder, name string) bool {
	test, sub, isSub := strings.Cut(name, "/")
	literals, ok := n[folder+"."+test]
	return ok && (!isSub || literals[sub])
}

func testsIn(t *testing.T, root string) testNames {
	t.Helper()
	all := testNames{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		literals := map[string]bool{}
		ast.Inspect(file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if s, err := strconv.Unquote(l.Value); err == nil {
					literals[s] = true
				}
			}
			return true
		})
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				all[filepath.ToSlash(folder)+"."+f.Name.Name] = literals
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
