package ctl

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal: user is the person's side, device the program's.
type terminal struct {
	user, device *os.File

	// mu guards shown.
	mu    sync.Mutex
	shown strings.Builder
	more  chan struct{} // holds one at most
	ended chan struct{}
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	// In non-blocking mode, Close ends a Read.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	p := &terminal{user: os.NewFile(uintptr(fd), "ptmx"), more: make(chan struct{}, 1), ended: make(chan struct{})}
	name := fmt.Sprintf("/dev/pts/%d", number)
	device, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	p.device = os.NewFile(uintptr(device), name)
	go p.watch()
	t.Cleanup(func() {
		p.device.Close()
		p.user.Close()
		<-p.ended
	})
	return p
}

func (p *terminal) watch() {
	defer close(p.ended)
	b := make([]byte, 1024)
	for {
		n, err := p.user.Read(b)
		p.mu.Lock()
		p.shown.Write(b[:n])
		p.mu.Unlock()
		select {
		case p.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (p *terminal) screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown.String()
}

// await waits until a text is on the screen.
func (p *terminal) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !strings.Contains(p.screen(), text) {
		select {
		case <-p.more:
		case <-deadline:
			t.Errorf("no %q on the screen: %q", text, p.screen())
			return
		}
	}
}

func (p *terminal) env() Env { return Env{Stdin: p.device, Stderr: p.device} }

func TestConfirmAtTerminal(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "acme")
	l.do(codeDone, "migrate", "up", "--dir", sampleFiles)
	for _, c := range []struct {
		args, types string
		code        int
	}{
		{"tenant delete acme", "yes\n", codeUnconfirmed},
		{"tenant delete acme", "\n", codeUnconfirmed},
		{"tenant delete acme", "\x04", codeUnconfirmed}, // Ctrl-D
		{"migrate down --dir testdata/migrations --target 1", "y\n", codeUnconfirmed},
		{"migrate down --dir testdata/migrations --target 1", "1\n", codeDone},
		{"tenant delete acme", "acme\n", codeDone},
	} {
		before := query[string](l, everything)
		p := newTerminal(t)
		go func() {
			p.await(t, " to go on: ")
			p.user.WriteString(c.types)
		}()
		r := l.runWith(t.Context(), p.env(), strings.Fields(c.args)...)
		if r.code != c.code {
			t.Errorf("%s, %q: code %d: %s", c.args, c.types, r.code, p.screen())
		}
		if changed := query[string](l, everything) != before; changed != (c.code == codeDone) {
			t.Errorf("%s, %q: changed something: %t", c.args, c.types, changed)
		}
		if strings.Contains(p.screen(), password) {
			t.Errorf("a password: %s", p.screen())
		}
	}
}

func TestInterruptAtQuestion(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "acme")
	p := newTerminal(t)
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		p.await(t, "Type acme")
		interrupt()
	}()
	if r := l.runWith(ctx, p.env(), "tenant", "delete", "acme"); r.code != Interrupted {
		t.Errorf("code %d: %s", r.code, p.screen())
	}
	l.do(codeDone, "tenant", "get", "acme")
}

func TestBarAtTerminal(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "acme", "globex")
	p := newTerminal(t)
	r := l.runWith(t.Context(), p.env(), "migrate", "up", "--dir", sampleFiles)
	p.await(t, "2/2 tenants")
	if r.code != codeDone || !strings.Contains(p.screen(), "[##############################]") {
		t.Errorf("code %d: %q", r.code, p.screen())
	}
}

// TestFixAtTerminal: the report is there before the question, and nothing is mended
// unless that is answered.
func TestFixAtTerminal(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "acme")
	l.do(codeDone, "migrate", "up", "--dir", sampleFiles)
	l.hold("UPDATE tenancy.tenants SET version = 1 WHERE id = 'acme'; COMMIT; BEGIN")()
	for _, c := range []struct {
		types string
		code  int
		says  string
	}{
		{"no\n", codeUnconfirmed, "what mends it"},
		{"fix\n", codeDone, "\nmended: tenant acme"},
	} {
		p := newTerminal(t)
		go func() {
			p.await(t, "This registers 1 versions. Type fix to go on: ")
			p.user.WriteString(c.types)
		}()
		r := l.runWith(t.Context(), p.env(), "doctor", "--fix")
		if r.code != c.code || !strings.Contains(r.out, c.says) {
			t.Errorf("%q: code %d: %s", c.types, r.code, r.out)
		}
	}
	if v := query[int](l, "SELECT version::int FROM tenancy.tenants"); v != 2 {
		t.Errorf("version %d", v)
	}
}
