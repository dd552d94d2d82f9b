package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	runLimit   = 10 * time.Minute // of one run of the suite; it takes one minute, most of it asleep
	maxCrashes = 20               // then the run is not worth going on with
)

// suite is the built copy of GORM's tests.
type suite struct {
	config
	dir    string
	server *server
	out    io.Writer
}

func (s *suite) binary() string { return filepath.Join(s.dir, "suite.test") }

// remove deletes the copy.
func (s *suite) remove() { os.RemoveAll(s.dir) }

func (s *suite) build(ctx context.Context) error {
	args := []string{"test", "-c", "-o", s.binary()}
	if s.race {
		args = append(args, "-race")
	}
	_, err := goCommand(ctx, s.dir, args...)
	return err
}

// tests returns the names of the top-level tests that -run selects. Listing
// them needs a database, since the suite connects when it is loaded.
func (s *suite) tests(ctx context.Context) ([]string, error) {
	var out bytes.Buffer
	if err := s.execute(ctx, "plain", &out, "-test.list=.*"); err != nil {
		return nil, fmt.Errorf("list GORM's tests: %w\n%s", err, out.Bytes())
	}
	var names []string
	for line := range strings.Lines(out.String()) {
		name := strings.TrimSpace(line)
		if strings.HasPrefix(name, "Test") && s.pattern.MatchString(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no test of GORM matches %q", s.pattern)
	}
	return names, nil
}

// run runs the named tests in one mode, "plain" or "plugin". Those behind a
// crash run again, in a fresh database.
func (s *suite) run(ctx context.Context, mode string, names []string) (map[string]result, error) {
	results := map[string]result{}
	for crashes := 0; len(names) > 0; crashes++ {
		if crashes > maxCrashes {
			return nil, fmt.Errorf("run GORM's tests (%s): more than %d crashes", mode, maxCrashes)
		}
		var out bytes.Buffer
		err := s.execute(ctx, mode, &out, "-test.v", "-test.count=1", "-test.run="+only(names))
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return nil, fmt.Errorf("run GORM's tests (%s): %w", mode, err)
		}
		before := len(results)
		parse(&out, results)
		if len(results) == before {
			return nil, fmt.Errorf("run GORM's tests (%s): no test ran\n%s", mode, tail(out.Bytes()))
		}
		names = without(names, results)
	}
	return results, ctx.Err()
}

func only(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = regexp.QuoteMeta(n)
	}
	return "^(" + strings.Join(quoted, "|") + ")$"
}

func without(names []string, done map[string]result) (left []string) {
	for _, n := range names {
		if _, ok := done[n]; !ok {
			left = append(left, n)
		}
	}
	return left
}

// execute runs the binary on a fresh database and keeps its output in out.
func (s *suite) execute(ctx context.Context, mode string, out *bytes.Buffer, args ...string) error {
	dsn, drop, err := s.server.database(ctx, mode)
	if err != nil {
		return err
	}
	defer drop()
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.binary(), args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "GORM_DIALECT=postgres", "GORM_DSN="+dsn)
	if mode == "plugin" {
		cmd.Env = append(cmd.Env, "GORMSUITE_PLUGIN=1")
	}
	var w io.Writer = out
	if s.verbose {
		w = io.MultiWriter(out, s.out)
	}
	cmd.Stdout, cmd.Stderr = w, w
	return cmd.Run()
}

func tail(b []byte) []byte { return b[max(0, len(b)-4000):] }

// outcome of a test.
type outcome string

const (
	pass    outcome = "PASS"
	fail    outcome = "FAIL"
	skip    outcome = "SKIP"
	crashed outcome = "CRASH" // it took the process with it
)

type result struct {
	outcome outcome
	output  string // what it printed, for the report
}

var (
	runLine  = regexp.MustCompile(`^=== RUN   (Test[^/\s]*)$`)
	doneLine = regexp.MustCompile(`^--- (PASS|FAIL|SKIP): (Test[^/\s]*) \(`)
)

// parse reads the output of -test.v into results, for top-level tests. A test
// that began and did not end has crashed.
func parse(out io.Reader, results map[string]result) {
	sc := bufio.NewScanner(out)
	sc.Buffer(nil, 16<<20)
	var current string
	var text strings.Builder
	for sc.Scan() {
		line := sc.Text()
		if m := runLine.FindStringSubmatch(line); m != nil {
			current = m[1]
			text.Reset()
			continue
		}
		if m := doneLine.FindStringSubmatch(line); m != nil {
			results[m[2]] = result{outcome(m[1]), text.String()}
			current = ""
			continue
		}
		text.WriteString(line + "\n")
	}
	if current != "" {
		results[current] = result{crashed, text.String()}
	}
}
