package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const gormModule = "gorm.io/gorm"

// The overlay's files end in .txt, since they belong to the copy's package.
//
//go:embed overlay/*.txt
var overlay embed.FS

// prepare copies GORM's tests, lets the tenant in and builds them.
func prepare(ctx context.Context, c config) (*suite, error) {
	module, err := describe(ctx, c.module, "")
	if err != nil {
		return nil, err
	}
	gorm, err := describe(ctx, c.module, gormModule)
	if err != nil {
		return nil, err
	}
	if err := sameVersion(c.src, gorm); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gormsuite-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the copy: %w", err)
	}
	s := &suite{dir: dir, config: c}
	for _, step := range []func() error{
		func() error { return copyTests(filepath.Join(c.src, "tests"), dir) },
		func() error { return writeOverlay(dir, c.plain) },
		func() error { return writeModule(ctx, dir, gorm, module, c.plain) },
		func() error { return s.build(ctx) },
	} {
		if err := step(); err != nil {
			s.remove()
			return nil, err
		}
	}
	return s, nil
}

type moduleInfo struct{ Path, Version, Dir string }

// describe asks the go command about a module that the one in dir requires,
// or about that one itself if path is empty.
func describe(ctx context.Context, dir, path string) (moduleInfo, error) {
	args := []string{"list", "-m", "-json"}
	if path != "" {
		args = append(args, path)
	}
	text, err := goCommand(ctx, dir, args...)
	var m moduleInfo
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return m, fmt.Errorf("look module %q up: %w", path, err)
	}
	return m, nil
}

func goCommand(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return text, nil
}

// sameVersion refuses a checkout whose library differs from the module that
// the plugin is built with. A checkout names its version nowhere.
func sameVersion(src string, gorm moduleInfo) error {
	files, err := filepath.Glob(filepath.Join(gorm.Dir, "*.go"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("read the sources of %s %s: none in %q; run go mod download", gorm.Path, gorm.Version, gorm.Dir)
	}
	for _, f := range append(files, filepath.Join(gorm.Dir, "go.mod")) {
		want, err := os.ReadFile(f)
		if err != nil {
			return fmt.Errorf("read the sources of %s: %w", gorm.Path, err)
		}
		got, err := os.ReadFile(filepath.Join(src, filepath.Base(f)))
		if err != nil || !bytes.Equal(got, want) {
			return fmt.Errorf("%s is not a checkout of %s %s: %s differs; check that tag out", src, gorm.Path, gorm.Version, filepath.Base(f))
		}
	}
	return nil
}

// copyTests copies the Go files of GORM's tests, rewritten. None of them
// reads another file.
func copyTests(from, to string) error {
	files, err := filepath.Glob(filepath.Join(from, "*.go"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("find GORM's tests in %s: no Go files", from)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return fmt.Errorf("read GORM's tests: %w", err)
		}
		if text, err = rewrite(filepath.Base(f), text); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(f)), text, 0o600); err != nil {
			return fmt.Errorf("write the copy: %w", err)
		}
	}
	return copyFile(filepath.Join(from, "go.mod"), filepath.Join(to, "go.mod"))
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", filepath.Base(from), err)
	}
	return nil
}

func writeOverlay(dir string, plain bool) error {
	for _, name := range []string{"suite_test.go", "plugin_test.go"} {
		if plain && name == "plugin_test.go" {
			continue
		}
		text, err := overlay.ReadFile("overlay/" + name + ".txt")
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "gormsuite_"+name), text, 0o600)
		}
		if err != nil {
			return fmt.Errorf("write the overlay: %w", err)
		}
	}
	return nil
}

// writeModule makes the copy's module use our GORM, our drivers and, for the
// plugin, ourselves.
func writeModule(ctx context.Context, dir string, gorm, self moduleInfo, plain bool) error {
	edits := []string{"mod", "edit", "-dropreplace=" + gormModule, "-require=" + gormModule + "@" + gorm.Version}
	for _, path := range []string{"gorm.io/driver/postgres", "github.com/jackc/pgx/v5"} {
		m, err := describe(ctx, self.Dir, path)
		if err != nil {
			return err
		}
		edits = append(edits, "-require="+path+"@"+m.Version)
	}
	if !plain {
		edits = append(edits, "-require="+self.Path+"@v0.0.0", "-replace="+self.Path+"="+self.Dir)
	}
	if _, err := goCommand(ctx, dir, edits...); err != nil {
		return err
	}
	_, err := goCommand(ctx, dir, "mod", "tidy")
	return err
}
