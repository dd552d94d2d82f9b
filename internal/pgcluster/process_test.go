package pgcluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// helperEnv makes the test binary a process that starts a cluster, says so,
// and waits to be killed.
const helperEnv = "GORMTENANCY_TEST_CLUSTER_HELPER"

func help() {
	b, err := Find(context.Background(), FindOptions{NoFetch: true})
	if err == nil {
		var c *Cluster
		if c, err = Start(context.Background(), Config{Binaries: b, Replicas: 1}); err == nil {
			fmt.Println(c.dir)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until killed
}

// startHelper starts a helper process and returns it with its cluster's
// directory.
func startHelper(t *testing.T) (kill func(), dir string) {
	t.Helper()
	t.Setenv("TMPDIR", openDir(t)) // away from the clusters of other tests
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(func() {
		in.Close()
		kill()
		if err := CleanLeftovers(); err != nil { // of a test that failed
			t.Error(err)
		}
	})
	line := make([]byte, 4096)
	n, err := out.Read(line)
	if err != nil {
		t.Fatalf("the helper said nothing: %v", err)
	}
	return kill, strings.TrimSpace(string(line[:n]))
}

// processesOf returns the processes whose command line names dir.
func processesOf(t *testing.T, dir string) (pids []int, commands []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(line, []byte(dir)) {
			continue // ended meanwhile, or another's
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
		commands = append(commands, string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
	}
	return pids, commands
}

func gone(t *testing.T, dir string) func() bool {
	return func() bool {
		pids, _ := processesOf(t, dir)
		return len(pids) == 0
	}
}

func TestServersEndWithTheirParent(t *testing.T) {
	needPostgreSQL(t)
	kill, dir := startHelper(t)
	if pids, _ := processesOf(t, dir); len(pids) < 2 {
		t.Fatalf("%d processes of a primary and a replica", len(pids))
	}
	kill()
	eventually(t, "the servers to end with the process that started them", gone(t, dir))
	if err := CleanLeftovers(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the killed process's %s was left behind: %v", dir, err)
	}
}

// The supervising shells may be killed as well.
func TestLeftoversAreStopped(t *testing.T) {
	needPostgreSQL(t)
	kill, dir := startHelper(t)
	pids, commands := processesOf(t, dir)
	for i, pid := range pids {
		if strings.HasPrefix(commands[i], "sh ") {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	kill()
	if gone(t, dir)() {
		t.Fatal("no server is left: the test shows nothing")
	}
	if err := CleanLeftovers(); err != nil {
		t.Fatal(err)
	}
	if pids, commands := processesOf(t, dir); len(pids) > 0 {
		t.Errorf("still running: %q", commands)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s was left behind: %v", dir, err)
	}
}

func TestDirectoryInUseIsRefused(t *testing.T) {
	t.Parallel()
	b, dir := needPostgreSQL(t), openDir(t)
	owner := filepath.Join(dir, ownerFile)
	if err := os.WriteFile(owner, []byte(strconv.Itoa(os.Getppid())), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := Start(t.Context(), Config{Binaries: b, Dir: dir})
	if err == nil {
		c.Stop(t.Context())
		t.Fatal("two processes use one directory")
	}
	if want := fmt.Sprintf("in use by process %d", os.Getppid()); !strings.Contains(err.Error(), want) {
		t.Errorf("error %q, want %q in it", err, want)
	}
	if text, err := os.ReadFile(owner); err != nil || string(text) != strconv.Itoa(os.Getppid()) {
		t.Errorf("the directory's owner is %q now, %v", text, err)
	}
}

func TestServersDoNotRunAsRoot(t *testing.T) {
	t.Parallel()
	b := needPostgreSQL(t)
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	c, err := Start(t.Context(), Config{Binaries: b})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop(t.Context())
	pids, commands := processesOf(t, c.dir)
	for i, pid := range pids {
		info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
		if err != nil {
			t.Fatal(err)
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid == 0 {
			t.Errorf("root runs %s", commands[i])
		}
	}
	if len(pids) == 0 {
		t.Error("no process found")
	}
}

func TestTwoClustersAtOnce(t *testing.T) {
	t.Parallel()
	b := needPostgreSQL(t)
	var clusters [2]*Cluster
	ports := map[int]bool{}
	for i := range clusters {
		c, err := Start(t.Context(), Config{Binaries: b, Replicas: 1, InMemory: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Stop(t.Context())
		clusters[i] = c
		s := c.Shards()[0]
		ports[s.Primary.port], ports[s.Replicas[0].port] = true, true
		execute(t, s.Primary.DSN, fmt.Sprintf("create table mine as select %d as n", i))
	}
	if len(ports) != 4 {
		t.Errorf("ports %v, want 4", ports)
	}
	if err := clusters[0].Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := query[int](t, clusters[1].Shards()[0].Primary.DSN, "select n from mine"); n != 1 {
		t.Errorf("the second cluster has the table of number %d", n)
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", clusters[0].Shards()[0].Primary.port))
	if err != nil {
		t.Fatalf("a stopped cluster's port is not free: %v", err)
	}
	l.Close()
}

// needPostgreSQL returns what the machine has.
func needPostgreSQL(t *testing.T) Binaries {
	t.Helper()
	b, err := Find(t.Context(), FindOptions{NoFetch: true})
	if err != nil {
		t.Skip(err)
	}
	return b
}
