package ctl

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// watched returns a progress whose clock the test moves.
func watched(bar bool) (p *progress, out *bytes.Buffer, pass func(time.Duration)) {
	out = &bytes.Buffer{}
	now := time.Unix(0, 0)
	p = &progress{out: out, bar: bar, unit: "tenants", now: func() time.Time { return now }, begun: now, last: now, drawn: -1}
	return p, out, func(d time.Duration) { now = now.Add(d) }
}

func TestPlainProgress(t *testing.T) {
	t.Parallel()
	p, out, pass := watched(false)
	for i := range 1000 { // 10 s in all
		pass(10 * time.Millisecond)
		p.update(i+1, 2000, 3)
	}
	pass(31 * time.Second)
	p.update(1001, 2000, 3)
	pass(time.Millisecond)
	p.update(1500, 2000, 3)
	p.update(2000, 2000, 3)
	p.finish()
	p.finish()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 12 {
		t.Fatalf("%d lines:\n%s", len(lines), out)
	}
	for i, want := range map[int]string{
		0:  "100/2000 tenants, 100/s, 19s left, 3 failed",
		9:  "1000/2000 tenants, 100/s, 10s left, 3 failed",
		10: "1001/2000 tenants, 24.4/s, 41s left, 3 failed",
		11: "2000/2000 tenants, 48.8/s, 3 failed",
	} {
		if lines[i] != want {
			t.Errorf("line %d: %q, want %q", i, lines[i], want)
		}
	}
}

func TestBar(t *testing.T) {
	t.Parallel()
	p, out, pass := watched(true)
	pass(time.Second)
	p.update(1, 4, 0)
	p.update(2, 4, 0) // too soon to be drawn
	pass(time.Second)
	p.update(4, 4, 0)
	p.finish()
	want := clearLine + "[#######.......................] 1/4 tenants, 1/s, 3s left" +
		clearLine + "[##############################] 4/4 tenants, 2/s\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out, want)
	}
}

// TestNoProgress: a program that reads JSON from standard error finds the error only.
func TestNoProgress(t *testing.T) {
	t.Parallel()
	for _, a := range []*app{{output: formatJSON}, {output: formatTable, quiet: true}} {
		var b bytes.Buffer
		a.env = Env{Stderr: &b, Getenv: func(string) string { return "" }}
		p := a.newProgress("tenants")
		p.update(1, 1, 0)
		p.finish()
		if b.Len() > 0 {
			t.Errorf("%+v: %s", a, &b)
		}
	}
	p, out, _ := watched(false)
	p.finish()
	if out.Len() > 0 {
		t.Errorf("nothing was done: %s", out)
	}
}

func TestCell(t *testing.T) {
	t.Parallel()
	for v, want := range map[any]string{
		"": "-", "plain": "plain", 7: "7", "\x1b[2J": `"\x1b[2J"`, "a\tb": `"a\tb"`, "Zürich": "Zürich",
		time.Time{}: "-", time.Date(2026, 1, 31, 9, 0, 0, 0, time.FixedZone("", 3600)): "2026-01-31T08:00:00Z",
	} {
		if got := cell(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}
