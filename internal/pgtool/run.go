package pgtool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

type fallback = pgconn.FallbackConfig

// ErrMissing says that a program is not to be had, or too old.
var ErrMissing = errors.New("PostgreSQL's client programs are missing or too old: install those of the server's version, or a newer one")

const (
	// maxComplaint bounds how much of a program's messages an error repeats, in bytes.
	maxComplaint = 2000
	// patience is how long a program may take to end once it was told to.
	patience = 5 * time.Second
)

// Tool is one of PostgreSQL's programs.
type Tool struct {
	Name string // pg_dump or pg_restore
	path string
}

// Find returns a program of a directory, or of PATH if dir is empty, that is as new
// as a server at least. The error wraps ErrMissing.
func Find(ctx context.Context, dir, name string, server int) (Tool, error) {
	path := name
	if dir != "" {
		path = filepath.Join(dir, name)
	}
	path, err := exec.LookPath(path)
	if err != nil {
		return Tool{}, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return Tool{}, fmt.Errorf("%w: %s --version: %w", ErrMissing, path, err)
	}
	major, err := version(string(out))
	switch {
	case err != nil:
		return Tool{}, fmt.Errorf("%w: %s --version: %w", ErrMissing, path, err)
	case major < server:
		return Tool{}, fmt.Errorf("%w: %s is of PostgreSQL %d, the server is %d", ErrMissing, path, major, server)
	}
	return Tool{name, path}, nil
}

var versionNumber = regexp.MustCompile(`\) (\d+)`)

// version reads "pg_dump (PostgreSQL) 15.18 (Debian 15.18-1)".
func version(text string) (int, error) {
	m := versionNumber.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("no version in %.100q", text)
	}
	return strconv.Atoi(m[1])
}

// Call is a program's run. Database may be nil where none is needed; App is the
// application_name of its session there.
type Call struct {
	Database *pgx.ConnConfig
	App      string
	Args     []string
	In       io.Reader
	Out      io.Writer
}

// Run runs the program until it ends, or ctx does. The error holds the end of what it
// complained of.
func (t Tool) Run(ctx context.Context, c Call) error {
	complaint := &tail{}
	cmd := exec.CommandContext(ctx, t.path, c.Args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.In, c.Out, complaint
	// Told so, it cancels what the server does for it.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	password := ""
	if c.Database != nil {
		cmd.Env, password = environ(c.Database, c.App), c.Database.Password
	}
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	text := strings.TrimSpace(string(complaint.text))
	if password != "" {
		text = strings.ReplaceAll(text, password, "xxxxx")
	}
	return fmt.Errorf("%s: %w: %s", t.Name, err, text)
}

// tail keeps the end of what is written.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if extra := len(t.text) - maxComplaint; extra > 0 {
		t.text = t.text[extra:]
	}
	return len(p), nil
}
