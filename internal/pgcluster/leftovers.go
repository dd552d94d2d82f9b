package pgcluster

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	tempPrefix = "gormtenancy-pg-"
	ownerFile  = "owner.pid" // in a cluster's directory: the process it belongs to
)

// claimDir makes the cluster's directory ours.
func (c *Cluster) claimDir() error {
	var err error
	if c.cfg.Dir == "" {
		if c.dir, err = os.MkdirTemp(c.cfg.tempDir(), tempPrefix); err != nil {
			return err
		}
	} else {
		if c.dir, err = filepath.Abs(c.cfg.Dir); err != nil {
			return err
		}
		if err := os.MkdirAll(c.dir, 0o711); err != nil {
			return err
		}
		if err := freeOf(c.dir); err != nil {
			return err
		}
	}
	// The servers' user has to pass through it.
	if err := os.Chmod(c.dir, 0o711); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.dir, ownerFile), []byte(strconv.Itoa(os.Getpid())), 0o644)
}

// memoryDir is where Linux has a file system in memory, and memoryRoom what must be
// free there.
const (
	memoryDir  = "/dev/shm"
	memoryRoom = 4 << 30
)

// tempDir is where a temporary directory is made.
func (c Config) tempDir() string {
	if c.InMemory && freeMemory(memoryDir) >= memoryRoom {
		return memoryDir
	}
	return os.TempDir()
}

// CleanLeftovers removes the temporary clusters of processes that are gone,
// and stops their servers should any run still.
func CleanLeftovers() error {
	var dirs []string
	for _, temp := range []string{os.TempDir(), memoryDir} {
		found, err := filepath.Glob(filepath.Join(temp, tempPrefix+"*"))
		if err != nil {
			return err
		}
		dirs = append(dirs, found...)
	}
	var errs []error
	for _, dir := range dirs {
		if pid, err := ownerOf(dir); err != nil || alive(pid) {
			continue // being made, or in use
		}
		errs = append(errs, endServers(dir), os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// freeOf makes sure that nobody uses a directory that was named to us.
func freeOf(dir string) error {
	pid, err := ownerOf(dir)
	if err != nil {
		return nil // nobody
	}
	if pid != os.Getpid() && alive(pid) {
		return fmt.Errorf("%s is in use by process %d: stop it first", dir, pid)
	}
	return endServers(dir)
}

func ownerOf(dir string) (int, error) {
	b, err := os.ReadFile(filepath.Join(dir, ownerFile))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// endServers stops the servers whose data is below dir.
func endServers(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*", "data", "postmaster.pid"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := endServer(file); err != nil {
			return err
		}
	}
	return nil
}

// endServer stops the server that wrote a postmaster.pid, if it still runs.
// The number may be another process's by now, so its command line must name
// the data directory.
func endServer(file string) error {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	first, _, _ := bytes.Cut(b, []byte("\n"))
	pid, err := strconv.Atoi(string(first))
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !bytes.Contains(command, []byte(filepath.Dir(file))) {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); alive(pid); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("server %d of %s does not end: stop it by hand", pid, filepath.Dir(file))
		}
	}
	return nil
}
