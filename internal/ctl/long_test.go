package ctl

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestLongStep: what takes long is told at its begin, with the file that grows, and not
// to programs.
func TestLongStep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, size int) {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("acme-OLD.dump.partial", 1)
	var out bytes.Buffer
	a := &app{env: Env{Stderr: &out, Getenv: func(string) string { return "" }}, output: formatTable}
	s := a.begin("exporting", newestIn(dir, "acme-*.dump.partial"))
	write("acme-NEW.dump.partial", 2_500_000)
	s.now = func() time.Time { return s.begun.Add(90 * time.Second) }
	s.next("dropping")
	s.end()
	if got := out.String(); got != "exporting\ndropping, 1m30s, 2.5 MB so far\n" {
		t.Errorf("%q", got)
	}
	out.Reset()
	a.output = formatJSON
	s = a.begin("exporting", nil)
	s.next("dropping")
	s.end()
	if out.Len() > 0 {
		t.Errorf("programs are told %q", &out)
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1000: "1.0 kB", 15_520_000: "15.5 MB", 2e12: "2.0 TB", 1<<63 - 1: "9.2 EB"} {
		if got := bytesOf(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
