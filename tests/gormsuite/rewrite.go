package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"slices"
)

// suitePackage is where the tests, and so the overlay, are.
const suitePackage = "tests_test"

// replacements are what the overlay stands in for, by package and name.
var replacements = map[string]string{
	"gorm.Open":          "suiteOpen",
	"context.Background": "suiteContext",
}

// rewrite replaces the calls through which a test could get at a connection
// or a context without a tenant.
func rewrite(name string, text []byte) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("read GORM's tests: %w", err)
	}
	if file.Name.Name != suitePackage {
		return text, nil // it tests GORM's insides, without a connection
	}
	replaced := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if from := selector(call.Fun); replacements[from] != "" {
				call.Fun = ast.NewIdent(replacements[from])
				replaced[from] = true
			}
		}
		return true
	})
	var out bytes.Buffer
	if err := format.Node(&out, fset, file); err != nil {
		return nil, fmt.Errorf("write GORM's tests: %w", err)
	}
	for _, from := range slices.Sorted(maps.Keys(replaced)) {
		fmt.Fprintf(&out, "\nvar _ = %s // keeps the import in use\n", from)
	}
	return out.Bytes(), nil
}

// selector returns "pkg.Name" for such an expression, else an empty string.
func selector(e ast.Expr) string {
	if sel, ok := e.(*ast.SelectorExpr); ok {
		if pkg, ok := sel.X.(*ast.Ident); ok {
			return pkg.Name + "." + sel.Sel.Name
		}
	}
	return ""
}
