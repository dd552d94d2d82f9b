package ctl

import (
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	barWidth = 30
	// redraw is how often the bar may change, and line how often a plain line may
	// come. A line comes with each step of percent, or when silence has lasted.
	redraw    = 100 * time.Millisecond
	line      = time.Second
	step      = 5
	silence   = 30 * time.Second
	clearLine = "\r\x1b[K"
)

// progress tells how far long work is: a bar on a terminal, else plain lines. It is
// not safe for concurrent use.
type progress struct {
	out  io.Writer // nil: nobody is told
	bar  bool
	unit string
	now  func() time.Time

	begun, last         time.Time
	shown               int // percent
	done, total, failed int
	drawn               int // how much of it was done when it was last shown; -1: never was
}

// newProgress tells of the work of this command. A program that reads JSON gets none
// with its errors, unless somebody watches.
func (a *app) newProgress(unit string) *progress {
	p := &progress{unit: unit, now: time.Now, begun: time.Now(), drawn: -1}
	p.last = p.begun
	terminal := isTerminal(a.env.Stderr)
	p.bar = terminal && a.env.Getenv("TERM") != "dumb"
	if !a.quiet && (terminal || a.output == formatTable) {
		p.out = a.env.Stderr
	}
	return p
}

// update says that done of total units are done, of which some failed.
func (p *progress) update(done, total, failed int) {
	p.done, p.total, p.failed = done, total, failed
	now, percent := p.now(), done*100/max(total, 1)
	quiet := now.Sub(p.last)
	due := quiet >= redraw
	if !p.bar {
		due = quiet >= line && (percent >= p.shown+step || quiet >= silence)
	}
	if due {
		p.show(now, percent)
	}
}

// finish shows how it ended.
func (p *progress) finish() {
	if p.done != p.drawn && p.total > 0 {
		p.show(p.now(), p.done*100/p.total)
	}
	if p.bar && p.out != nil && p.drawn >= 0 {
		fmt.Fprintln(p.out)
	}
}

func (p *progress) show(now time.Time, percent int) {
	p.last, p.shown, p.drawn = now, percent, p.done
	switch {
	case p.out == nil:
	case p.bar:
		full := barWidth * percent / 100
		fmt.Fprintf(p.out, "%s[%s%s] %s", clearLine, strings.Repeat("#", full), strings.Repeat(".", barWidth-full), p.text(now))
	default:
		fmt.Fprintln(p.out, p.text(now))
	}
}

// text counts, with the rate so far and the time that the rest takes at that rate.
func (p *progress) text(now time.Time) string {
	s := fmt.Sprintf("%d/%d %s", p.done, p.total, p.unit)
	if took := now.Sub(p.begun).Seconds(); took > 0 && p.done > 0 {
		rate := float64(p.done) / took
		s += fmt.Sprintf(", %.3g/s", rate)
		if left := time.Duration(float64(p.total-p.done) / rate * float64(time.Second)); left > 0 {
			s += fmt.Sprintf(", %s left", max(left.Round(time.Second), time.Second))
		}
	}
	if p.failed > 0 {
		s += fmt.Sprintf(", %d failed", p.failed)
	}
	return s
}
