package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// asCommand in the environment makes the test binary the command itself, for
// tests that kill it.
const asCommand = "ECHO_APP_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	code, err := inOwnTemp(m)
	if err == nil && code == 0 {
		// GORM never stops the goroutine of a prepared statement store.
		err = goleak.Find(goleak.IgnoreTopFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// inOwnTemp runs the tests with a temporary directory of their own, and wants
// no file in it and no process at work in it when they are over.
func inOwnTemp(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "echo-app-test-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	// For root's sake, whose servers run as another user.
	if err := os.Chmod(dir, 0o711); err != nil {
		return 1, err
	}
	if err := os.Setenv("TMPDIR", dir); err != nil {
		return 1, err
	}
	code = m.Run()
	files, err := os.ReadDir(dir)
	if err == nil && (len(files) > 0 || len(processesIn(dir)) > 0) {
		err = fmt.Errorf("left behind: files %v, processes %q", files, processesIn(dir))
	}
	return code, err
}

// processesIn returns the command lines that name a directory; none where there
// is no /proc.
func processesIn(dir string) []string {
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // its only error is a bad pattern
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(line), dir+"/") && file != fmt.Sprintf("/proc/%d/cmdline", os.Getpid()) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
