package pooler

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
)

// The pooler has fewer connections than the proof has workers, so that every
// one serves many tenants.
const configuration = `[databases]
* = host=%s port=%s %s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
pool_mode = transaction
default_pool_size = 4
unix_socket_dir =
logfile = %s
`

// startPgBouncer returns a function that makes a new database and returns its
// DSN, and the same through PgBouncer.
func startPgBouncer(t *testing.T) func() (direct, pooled string) {
	t.Helper()
	return startWith(t, "user=postgres", "auth_type = any\n")
}

// startWith starts it with settings of the databases' and of its own.
func startWith(t *testing.T, database, own string) func() (direct, pooled string) {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program = "/usr/sbin/pgbouncer"; !executable(program) {
			t.Skip("there is no pgbouncer: install it (Debian: apt-get install pgbouncer)")
		}
	}
	server, dir, port := pgtest.Any(t), openDir(t), freePort(t)
	at := parse(t, server.Database(t))
	file := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf(configuration, at.Hostname(), at.Port(), database, port, filepath.Join(dir, "log")) + own
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"-q", file}
	if os.Geteuid() == 0 { // which it refuses
		args = append([]string{"-u", "nobody"}, args...)
	}
	cmd := exec.Command(program, args...)
	// It ends with this process, however that ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	await(t, address, filepath.Join(dir, "log"))
	return func() (string, string) {
		direct := parse(t, server.Database(t))
		pooled := *direct
		pooled.Host = address
		return direct.String(), pooled.String()
	}
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

func await(t *testing.T, address, log string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log)
			t.Fatalf("pgbouncer does not answer: %v: %s", err, text)
		}
	}
}

func parse(t *testing.T, dsn string) *url.URL {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// openDir is a temporary directory that any user may write to.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pooler-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}
