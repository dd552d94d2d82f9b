package ctl

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestBinary builds tenantctl and runs it as a shell does: exit codes, signals, and
// the completion script.
func TestBinary(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), program)
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../../cmd/tenantctl").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l := newFleet(t, ids(6)...)
	l.do(codeDone, "migrate", "up", "--dir", sampleFiles, "--target", "1")
	b := &binary{l, bin}
	t.Run("exit codes", b.exits)
	t.Run("one signal", b.interrupted)
	t.Run("two signals", b.stopped)
	t.Run("completion", b.completes)
}

type binary struct {
	*lab
	path string
}

func (b *binary) command(t *testing.T, args ...string) (cmd *exec.Cmd, out, errOut *bytes.Buffer) {
	out, errOut = &bytes.Buffer{}, &bytes.Buffer{}
	cmd = exec.CommandContext(t.Context(), b.path, args...)
	cmd.Env = append(cmd.Environ(), envDSN+"="+b.dsn)
	cmd.Stdout, cmd.Stderr = out, errOut
	return cmd, out, errOut
}

// code returns the exit code of a command that has ended.
func code(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return codeDone
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	t.Fatal(err)
	return -1
}

func (b *binary) exits(t *testing.T) {
	for args, want := range map[string]int{
		"version": codeDone, "tenant list": codeDone, "tenant get nobody": codeMissing, "tenant delete t00": codeUnconfirmed, "nonsense": codeUsage,
	} {
		cmd, _, errOut := b.command(t, strings.Fields(args)...)
		if got := code(t, cmd.Run()); got != want {
			t.Errorf("%s: %d, want %d: %s", args, got, want, errOut)
		}
	}
}

// migrateUntilBlocked starts a migration, and waits until it waits for a lock.
func (b *binary) migrateUntilBlocked(t *testing.T) (cmd *exec.Cmd, out, errOut *bytes.Buffer) {
	cmd, out, errOut = b.command(t, "migrate", "up", "--dir", sampleFiles, "--per-shard", "1", "--lock-timeout", "1m")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b.awaitBlocked()
	return cmd, out, errOut
}

func (b *binary) interrupted(t *testing.T) {
	defer b.hold("LOCK TABLE tenant_t02.orders")()
	cmd, out, errOut := b.migrateUntilBlocked(t)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if got := code(t, cmd.Wait()); got != Interrupted || !strings.Contains(out.String(), "6 tenants to version 2: 2 migrated") {
		t.Errorf("code %d: %s%s", got, out, errOut)
	}
}

// stopped has the server's process not answer, so that what the first signal begins
// does not end.
func (b *binary) stopped(t *testing.T) {
	defer b.hold("LOCK TABLE tenant_t03.orders")()
	cmd, out, errOut := b.migrateUntilBlocked(t)
	pid := query[int](b.lab, "SELECT min(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
	err := syscall.Kill(pid, syscall.SIGSTOP)
	if err != nil {
		t.Log("the server is not ours: ", err)
	} else {
		defer syscall.Kill(pid, syscall.SIGCONT)
	}
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		if err := cmd.Process.Signal(s); err != nil {
			t.Log(err) // it may have ended by the first
		}
	}
	if got := code(t, cmd.Wait()); got != Interrupted || out.Len() > 0 && err == nil {
		t.Errorf("code %d, ended in order: %s%s", got, out, errOut)
	}
}

// completes loads the script in bash, and presses Tab, so to speak.
func (b *binary) completes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here")
	}
	const script = `set -eu
PATH=$(dirname "$1"):$PATH
_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]}; prev=${COMP_WORDS[COMP_CWORD-1]}; words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; }
__ltrim_colon_completions() { :; }
source <(tenantctl completion bash)
COMP_WORDS=(tenantctl tenant get t0) COMP_CWORD=3 COMP_LINE="tenantctl tenant get t0" COMP_POINT=23 COMP_TYPE=63
set +eu
__start_tenantctl
echo "${COMPREPLY[@]}"`
	cmd, out, errOut := b.command(t)
	cmd.Path, cmd.Args = bash, []string{"bash", "-c", script, "bash", b.path}
	if err := cmd.Run(); err != nil || strings.TrimSpace(out.String()) != strings.Join(ids(6), " ") {
		t.Errorf("%v: %s%s", err, out, errOut)
	}
}
