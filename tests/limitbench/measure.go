package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// The bars.
const (
	barRate = 0.03                  // of accepted to configured, total and median
	barWait = 50 * time.Millisecond // that a call may take longer because of Redis
)

var errBars = errors.New("a bar was missed")

// process is a child, seen from the parent.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *json.Decoder
}

func startProcess(ctx context.Context, c config, number int) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, "-child", strconv.Itoa(number), "-redis", c.url,
		"-tenants", strconv.Itoa(c.tenants), "-processes", strconv.Itoa(c.processes), "-load", fmt.Sprint(c.load))
	cmd.Stderr = os.Stderr
	p := &process{cmd: cmd}
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.answers = json.NewDecoder(bufio.NewReader(out))
	return p, cmd.Start()
}

// lab is the server and the processes.
type lab struct {
	config
	fleet     *fleet
	server    *server
	processes []*process
	out       io.Writer
	missed    bool
}

func measure(ctx context.Context, c config, out io.Writer) (err error) {
	l := &lab{config: c, fleet: newFleet(c.tenants), out: out}
	if l.server, err = startServer(ctx); err != nil {
		return err
	}
	defer l.server.close()
	l.url = l.server.url()
	for i := range c.processes {
		p, err := startProcess(ctx, l.config, i)
		if err != nil {
			return err
		}
		l.processes = append(l.processes, p)
		defer func() {
			p.in.Close() //nolint:errcheck // it ends the process
			_ = p.cmd.Wait()
		}()
	}
	fmt.Fprintf(out, "%d tenants of %g to %g statements a second, %d processes, %g times the load; every %dth tenant at %g of its limit\n",
		c.tenants, slowest, float64(fastest), c.processes, c.load, quietEvery, quietLoad)
	if err := l.phases(ctx); err != nil {
		return err
	}
	if l.missed && c.strict {
		return errBars
	}
	return nil
}

func (l *lab) phases(ctx context.Context) error {
	if _, _, err := l.phase(ctx, l.warm); err != nil {
		return err
	}
	n, took, err := l.phase(ctx, l.steady)
	if err != nil {
		return err
	}
	l.report("Redis works", n, took)
	l.judgeRate(n, took)
	for _, step := range []struct {
		name string
		do   func() error
		last time.Duration
	}{
		{"SIGSTOP", func() error { return l.server.signal(syscall.SIGSTOP) }, l.outage},
		{"SIGCONT", func() error { return l.server.signal(syscall.SIGCONT) }, l.outage},
		{"SIGKILL", l.server.kill, l.outage},
		{"started again", func() error { return l.server.start(ctx) }, l.outage},
	} {
		if err := step.do(); err != nil {
			return err
		}
		n, took, err := l.phase(ctx, step.last)
		if err != nil {
			return err
		}
		l.report(step.name, n, took)
	}
	return l.back(ctx)
}

// back waits until all processes use Redis again.
func (l *lab) back(ctx context.Context) error {
	begin := time.Now()
	for time.Since(begin) < 20*time.Second {
		n, _, err := l.phase(ctx, 100*time.Millisecond)
		if err != nil {
			return err
		}
		if n.Up {
			fmt.Fprintln(l.out, "all processes use Redis again")
			return nil
		}
	}
	l.miss("not all processes use Redis again")
	return nil
}

// phase lets the load go on for a while, and returns what happened meanwhile.
func (l *lab) phase(ctx context.Context, d time.Duration) (count, time.Duration, error) {
	begin := time.Now()
	select {
	case <-ctx.Done():
		return count{}, 0, ctx.Err()
	case <-time.After(d):
	}
	var sum count
	for i, p := range l.processes {
		var c count
		if _, err := io.WriteString(p.in, "\n"); err != nil {
			return sum, 0, fmt.Errorf("ask process %d: %w", i, err)
		}
		if err := p.answers.Decode(&c); err != nil {
			return sum, 0, fmt.Errorf("read from process %d: %w", i, err)
		}
		sum.add(c)
	}
	return sum, time.Since(begin), nil
}

func (l *lab) report(name string, n count, took time.Duration) {
	total, median, least, most := l.ratios(n, took)
	fmt.Fprintf(l.out, "%-13s %s\n%13s accepted/configured: total %.3f, median tenant %.3f, least %.3f, most %.3f\n",
		name, &n, "", total, median, least, most)
	if n.Failed > 0 || n.Quiet > 0 {
		l.miss("%s: %d calls failed, %d of quiet tenants were refused", name, n.Failed, n.Quiet)
	}
	if n.Longest > n.Stall+barWait {
		l.miss("%s: a call took %s, and the machine stood still for %s only", name, n.Longest, n.Stall)
	}
}

// ratios are of the tenants under too much load.
func (l *lab) ratios(n count, took time.Duration) (total, median, least, most float64) {
	var ratios []float64
	accepted, configured := 0.0, 0.0
	for i, rate := range l.fleet.rates {
		if quiet(i) {
			continue
		}
		got, want := float64(n.Accepted[i]), rate*took.Seconds()
		accepted, configured = accepted+got, configured+want
		ratios = append(ratios, got/want)
	}
	slices.Sort(ratios)
	if len(ratios) == 0 {
		return 0, 0, 0, 0
	}
	return accepted / configured, ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1]
}

func (l *lab) judgeRate(n count, took time.Duration) {
	total, median, _, _ := l.ratios(n, took)
	if math.Abs(total-1) > barRate || math.Abs(median-1) > barRate {
		l.miss("accepted/configured: total %.3f, median %.3f, want 1 within %g", total, median, barRate)
	}
}

func (l *lab) miss(format string, args ...any) {
	l.missed = true
	fmt.Fprintf(l.out, "MISSED: "+format+"\n", args...)
}
