package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestRewrite(t *testing.T) {
	t.Parallel()
	got, err := rewrite("x_test.go", []byte(`package tests_test

import (
	"context"

	"gorm.io/gorm"
)

// A comment that stays.
func f() {
	ctx, _ := context.WithCancel(context.Background())
	db, _ := gorm.Open(nil, &gorm.Config{})
	use(ctx, db, mysql.Open("gorm.Open(x)"))
}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"// A comment that stays.",
		"context.WithCancel(suiteContext())",
		"db, _ := suiteOpen(nil, &gorm.Config{})",
		`mysql.Open("gorm.Open(x)")`,
		"var _ = context.Background",
		"var _ = gorm.Open",
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

func TestRewriteLeavesOtherPackages(t *testing.T) {
	t.Parallel()
	text := "package tests\n\nvar ctx = context.Background()\n"
	got, err := rewrite("x_test.go", []byte(text))
	if err != nil || string(got) != text {
		t.Errorf("%q, error %v, want it unchanged", got, err)
	}
}

const output = `=== RUN   TestA
=== RUN   TestA/sub
--- PASS: TestA (0.00s)
    --- PASS: TestA/sub (0.00s)
=== RUN   TestB
    b_test.go:1: b is wrong
--- FAIL: TestB (1.20s)
=== RUN   TestC
    c_test.go:1: not here
--- SKIP: TestC (0.00s)
=== RUN   TestD
panic: d
`

func TestParse(t *testing.T) {
	t.Parallel()
	got := map[string]result{}
	parse(strings.NewReader(output), got)
	for name, want := range map[string]outcome{"TestA": pass, "TestB": fail, "TestC": skip, "TestD": crashed} {
		if got[name].outcome != want {
			t.Errorf("%s: %q, want %q", name, got[name].outcome, want)
		}
	}
	if len(got) != 4 || !strings.Contains(got["TestB"].output, "b is wrong") || !strings.Contains(got["TestD"].output, "panic: d") {
		t.Errorf("results %+v", got)
	}
	if left := without([]string{"TestA", "TestE"}, got); !reflect.DeepEqual(left, []string{"TestE"}) {
		t.Errorf("left to run: %v, want TestE", left)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	plain := map[string]result{"TestA": {outcome: pass}, "TestB": {outcome: pass}, "TestC": {outcome: fail}, "TestD": {outcome: pass}}
	with := map[string]result{"TestA": {outcome: pass}, "TestB": {fail, "because"}, "TestC": {outcome: fail}, "TestD": {outcome: pass}}
	names := []string{"TestA", "TestB", "TestC", "TestD", "TestE"}
	for name, c := range map[string]struct {
		known map[string]string
		want  string
		err   error
	}{
		"a difference":           {nil, "FAIL TestB, passes without the plugin:\n    because\n", errDifferent},
		"an explained one":       {map[string]string{"TestB": "why"}, "FAIL TestB, explained: why\n", nil},
		"an old explanation":     {map[string]string{"TestB": "why", "TestD": "no"}, "TestD passes: take it off", errDifferent},
		"an explained non-event": {map[string]string{"TestB": "why", "TestC": "no"}, "FAIL TestB, explained: why\n", nil},
	} {
		var out bytes.Buffer
		err := report(&out, compare(names, plain, with, c.known), c.known)
		if !errors.Is(err, c.err) || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: error %v, report %q", name, err, out.String())
		}
	}
}

func TestExplained(t *testing.T) {
	t.Parallel()
	if _, err := parseExplained(explainedText); err != nil {
		t.Error(err)
	}
	if _, err := parseExplained("TestX without a reason"); err == nil {
		t.Error("a line without a reason was taken")
	}
}

func TestAnotherVersionIsRefused(t *testing.T) {
	t.Parallel()
	module, src := t.TempDir(), t.TempDir()
	write(t, module, "gorm.go", "package gorm // one\n")
	write(t, module, "go.mod", "module gorm.io/gorm\n")
	gorm := moduleInfo{Path: gormModule, Version: "v1", Dir: module}
	if err := sameVersion(src, gorm); err == nil {
		t.Error("an empty folder was taken for a checkout")
	}
	write(t, src, "gorm.go", "package gorm // one\n")
	write(t, src, "go.mod", "module gorm.io/gorm\n")
	if err := sameVersion(src, gorm); err != nil {
		t.Errorf("the same version: %v", err)
	}
	write(t, src, "gorm.go", "package gorm // two\n")
	if err := sameVersion(src, gorm); err == nil || !strings.Contains(err.Error(), "gorm.go differs") {
		t.Errorf("another version: error %v", err)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFlags(t *testing.T) {
	t.Setenv("GORM_SRC", "")
	for _, args := range [][]string{{}, {"-src", "x", "-run", "("}} {
		if _, err := parseFlags(args, io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	if _, err := parseFlags([]string{"-h"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: error %v", err)
	}
	t.Setenv("GORM_SRC", "somewhere")
	if c, err := parseFlags([]string{"-run", "Create"}, io.Discard); err != nil || c.src != "somewhere" {
		t.Errorf("%+v, error %v", c, err)
	}
}

func TestInDatabase(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"postgres://u@h:1/a":                 "postgres://u@h:1/new?TimeZone=Asia/Shanghai",
		"postgres://u@h:1/a?sslmode=disable": "postgres://u@h:1/new?sslmode=disable&TimeZone=Asia/Shanghai",
		"host=h dbname=a":                    "host=h dbname=a dbname=new TimeZone=Asia/Shanghai",
	} {
		if got, err := inDatabase(dsn, "new"); err != nil || got != want {
			t.Errorf("%s: %q, error %v, want %q", dsn, got, err, want)
		}
	}
}
