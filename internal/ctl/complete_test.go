package ctl

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestCompletion(t *testing.T) {
	t.Parallel()
	l := newFleet(t, "acme", "acme-2", "globex")
	l.do(codeDone, "tenant", "delete", "acme-2", "--after", "1d", "--yes")
	for _, c := range []struct{ line, want string }{
		{"tenant get ac", "acme acme-2"},
		{"tenant delete g", "globex"},
		{"tenant suspend acme x", ""},
		{"tenant name add gl", "globex"},
		{"migrate up --canary glo", "globex"},
		{"tenant create x --shard ", "main"},
		{"shard remove ", "main"},
		{"tenant list --output ", "table json"},
		{"tenant events --object ", "tenant name shard tier_limit tenant_limit lane quarantine"},
		{"tenant list ", ""},
		{"tenant copy gl", "globex"},
		{"tenant undelete ", "acme-2"},
		{"tenant restore ac", ""},
		{"doctor --tenants gl", "globex"},
		{"doctor --shard ", "main"},
		{"tenant get !", ""},
	} {
		r := l.do(codeDone, append([]string{cobra.ShellCompNoDescRequestCmd}, strings.Split(c.line, " ")...)...)
		words, _, _ := strings.Cut(r.out, ":")
		if got := strings.Join(strings.Fields(words), " "); got != c.want {
			t.Errorf("%s: proposes %q, want %q", c.line, got, c.want)
		}
	}
	l.env[envDSN] = "postgres://nobody:" + password + "@127.0.0.1:1/x"
	r := l.do(codeDone, cobra.ShellCompNoDescRequestCmd, "tenant", "get", "ac")
	if !strings.HasPrefix(r.out, ":4") || strings.Contains(r.err, "refused") {
		t.Errorf("without a control plane: %q, %q", r.out, r.err)
	}
}

// TestHelp: every command says what it is for, checks its arguments, and does not
// offer files where none are wanted.
func TestHelp(t *testing.T) {
	t.Parallel()
	root := (&app{}).root()
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		switch {
		case cmd.Short == "" || strings.HasSuffix(cmd.Short, "."):
			t.Errorf("%s: short help %q", cmd.CommandPath(), cmd.Short)
		case cmd.Args == nil || cmd.RunE == nil:
			t.Errorf("%s takes any arguments, or does nothing", cmd.CommandPath())
		case !cmd.HasSubCommands() && cmd.ValidArgsFunction == nil:
			t.Errorf("%s completes its arguments with files", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Long + "\n" + cmd.Example) {
			if len(line) > 100 {
				t.Errorf("%s: a line of its help has %d bytes", cmd.CommandPath(), len(line))
			}
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(root)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := newOffline(t).do(codeDone, "completion", shell); !strings.Contains(r.out, program) || r.err != "" {
			t.Errorf("%s: %d bytes, %s", shell, len(r.out), r.err)
		}
	}
}

// newOffline returns a lab without a database.
func newOffline(t testing.TB) *lab { return &lab{t: t, env: map[string]string{}} }
