package ctl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

const (
	formatTable = "table"
	formatJSON  = "json"
)

// rows are a table, its header first.
type rows [][]string

// add adds a row.
func (r *rows) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = cell(c)
	}
	*r = append(*r, row)
}

// cell returns a value as people read it. What a terminal would obey is quoted.
func cell(v any) string {
	var s string
	switch v := v.(type) {
	case time.Time:
		if !v.IsZero() {
			s = v.UTC().Format(time.RFC3339)
		}
	default:
		s = fmt.Sprint(v)
	}
	if strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
		s = strconv.Quote(s)
	}
	if s == "" {
		return "-"
	}
	return s
}

// oneLine returns an error's text, which may have several, as people read it.
func oneLine(text string) string { return cell(strings.Join(strings.Fields(text), " ")) }

// write aligns the columns.
func (r rows) write(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	defer w.Flush()
	for _, row := range r {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
}

// show prints a result: doc as JSON, or what people writes.
func (a *app) show(doc any, people func(w io.Writer)) error {
	var b bytes.Buffer
	if a.output == formatJSON {
		e := json.NewEncoder(&b)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := e.Encode(doc); err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
	} else {
		people(&b)
	}
	if _, err := b.WriteTo(a.env.Stdout); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// hint tells people, not programs, what is not part of the result.
func (a *app) hint(format string, args ...any) {
	if !a.quiet && a.output == formatTable {
		fmt.Fprintf(a.env.Stderr, format+"\n", args...)
	}
}

// isTerminal reports whether somebody may sit at the other end. The null device
// passes for one: nobody answers there, and nobody sees what is drawn.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
