package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

const (
	maxFileLines     = 400
	maxFunctionLines = 100
)

// withoutCaller are the files that may begin a context outside main and tests.
var withoutCaller = map[string]string{
	"tenant/context.go":     "a caller's nil context is one without a tenant",
	"migrations/set.go":     "goose wants one to run files on what is no database",
	"plugin/plugin.go":      "gorm.Plugin's Initialize has no context",
	"resolver/gormpool.go":  "a caller's nil context is one without a tenant",
	"resolver/freshness.go": "the loop belongs to the pool, not to the statement that opened it",
	"resolver/router.go":    "the janitor belongs to the Router, which no call's context outlives",
}

// source is a parsed file.
type source struct {
	path string // from the module's root
	file *ast.File
	set  *token.FileSet
}

func (s source) dir() string          { return filepath.Dir(s.path) }
func (s source) test() bool           { return strings.HasSuffix(s.path, "_test.go") }
func (s source) line(p token.Pos) int { return s.set.Position(p).Line }

// under reports whether the file is in one of the folders.
func (s source) under(folders ...string) bool {
	for _, f := range folders {
		if strings.HasPrefix(s.path, f+"/") {
			return true
		}
	}
	return false
}

func sources(t *testing.T) []source {
	t.Helper()
	const root = "../.."
	var all []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && path != root && (name[0] == '.' || name == "testdata" || name == "bin") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		s := source{set: token.NewFileSet()}
		if s.file, err = parser.ParseFile(s.set, path, nil, parser.ParseComments|parser.SkipObjectResolution); err != nil {
			return err
		}
		s.path, err = filepath.Rel(root, path)
		all = append(all, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d files", len(all))
	}
	return all
}

func TestLengths(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if n := s.line(s.file.FileEnd); n > maxFileLines {
			t.Errorf("%s has %d lines, want at most %d", s.path, n, maxFileLines)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.line(f.End()) - s.line(f.Pos()) + 1; n > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, want at most %d", s.path, f.Name.Name, n, maxFunctionLines)
			}
		}
	}
}

// A package's comment stands in doc.go, a command's may stand in main.go, and
// where a folder has tests only, in one of these.
func TestPackagesAreDocumented(t *testing.T) {
	t.Parallel()
	documented, code := map[string]bool{}, map[string]bool{}
	all := sources(t)
	for _, s := range all {
		code[s.dir()] = code[s.dir()] || !s.test()
	}
	for _, s := range all {
		name := filepath.Base(s.path)
		place := name == "doc.go" || name == "main.go" && s.file.Name.Name == "main" || !code[s.dir()]
		documented[s.dir()] = documented[s.dir()] || place && s.file.Doc != nil
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no doc.go with a package comment", dir)
		}
	}
}

func TestExportsAreDocumented(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for _, d := range s.file.Decls {
			for _, name := range bare(d) {
				t.Errorf("%s: %s has no comment", s.path, name)
			}
		}
	}
}

// bare returns the exported names of a declaration that have no comment.
func bare(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && ast.IsExported(receiver(d)) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	return names
}

// receiver returns the name of a method's type, a function's own name.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	e := f.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

func TestContextsComeFromTheCaller(t *testing.T) {
	t.Parallel()
	unused := map[string]bool{}
	for f := range withoutCaller {
		unused[f] = true
	}
	for _, s := range sources(t) {
		if s.test() || s.file.Name.Name == "main" || s.under("tests", "tenanttest", "internal/pgtest") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Background" && sel.Sel.Name != "TODO" {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); !ok || x.Name != "context" {
				return true
			}
			delete(unused, s.path)
			if withoutCaller[s.path] == "" {
				t.Errorf("%s:%d begins a context: take the caller's", s.path, s.line(n.Pos()))
			}
			return true
		})
	}
	for f := range unused {
		t.Errorf("%s begins no context: take it off withoutCaller", f)
	}
}
