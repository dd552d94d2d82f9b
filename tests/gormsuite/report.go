package main

import (
	_ "embed"
	"fmt"
	"io"
	"strings"
)

//go:embed explained.txt
var explainedText string

// parseExplained reads lines of "TestName: reason"; empty lines and those that
// begin with # are comments.
func parseExplained(text string) (map[string]string, error) {
	known := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, ok := strings.Cut(line, ": ")
		if !ok || !strings.HasPrefix(name, "Test") {
			return nil, fmt.Errorf("read explained.txt: %q is not \"TestName: reason\"", line)
		}
		known[name] = reason
	}
	return known, nil
}

// difference is a test that passes plain and not with the plugin, or one that
// is explained and passes both ways.
type difference struct {
	name      string
	with      result
	explained bool
}

// stale says that the explanation is no longer needed.
func (d difference) stale() bool { return d.explained && d.with.outcome == pass }

// compare returns the differences in the order of names.
func compare(names []string, plain, with map[string]result, known map[string]string) (all []difference) {
	for _, n := range names {
		_, explained := known[n]
		if plain[n].outcome == pass && (explained || with[n].outcome != pass) {
			all = append(all, difference{n, with[n], explained})
		}
	}
	return all
}

// report prints the differences and returns errDifferent if one of them is
// not accounted for.
func report(out io.Writer, all []difference, known map[string]string) error {
	var err error
	for _, d := range all {
		switch {
		case d.stale():
			fmt.Fprintf(out, "%s passes: take it off explained.txt\n", d.name)
			err = errDifferent
		case d.explained:
			fmt.Fprintf(out, "%s %s, explained: %s\n", d.with.outcome, d.name, known[d.name])
		default:
			fmt.Fprintf(out, "%s %s, passes without the plugin:\n%s", d.with.outcome, d.name, indent(d.with.output))
			err = errDifferent
		}
	}
	if len(all) == 0 {
		fmt.Fprintln(out, "no difference")
	}
	return err
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
}

func printCounts(out io.Writer, title string, names []string, results map[string]result) {
	n := map[outcome]int{}
	for _, name := range names {
		n[results[name].outcome]++
	}
	fmt.Fprintf(out, "%s: %d tests, %d passed, %d failed, %d crashed, %d skipped\n",
		title, len(names), n[pass], n[fail], n[crashed], n[skip])
}

func printFailed(out io.Writer, names []string, results map[string]result) {
	for _, n := range names {
		if r := results[n]; r.outcome == fail || r.outcome == crashed {
			fmt.Fprintf(out, "%s %s\n%s", r.outcome, n, indent(r.output))
		}
	}
}
