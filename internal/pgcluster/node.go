package pgcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Node is one server.
type Node struct {
	// DSN connects to the node's database as superuser. It stays the same when
	// the node is stopped and started.
	DSN string

	c       *Cluster
	name    string
	dir     string
	port    int
	primary *Node // nil for a primary

	mu   sync.Mutex // guards what follows
	cmd  *exec.Cmd
	pipe *os.File      // closing it stops the server
	done chan struct{} // closed when the server has ended
}

// supervise runs a server ("$@") until it ends or file descriptor 3 does,
// which is when our process stops it, or has died.
const supervise = `"$@" 3<&- & pid=$!
(cat <&3 >/dev/null; kill -INT $pid) 2>/dev/null & watch=$!
exec 3<&-
wait $pid; code=$?
kill $watch 2>/dev/null
exit $code`

// startTimeout bounds how long a server may take to answer.
const startTimeout = 60 * time.Second

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (n *Node) data() string    { return filepath.Join(n.dir, "data") }
func (n *Node) logFile() string { return filepath.Join(n.dir, "log") }

func dsn(port int, database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", port, database)
}

// launch starts the server on its port, or the first time on a free one, and
// waits until it answers.
func (n *Node) launch(ctx context.Context) error {
	fixed := n.port != 0
	for try := 1; ; try++ {
		if !fixed {
			port, err := freePort()
			if err != nil {
				return err
			}
			n.port = port
		}
		err := n.tryLaunch(ctx)
		// Somebody may have taken the port in the meantime.
		if err == nil || fixed || try == 5 || !bytes.Contains(n.logTail(), []byte("could not bind")) {
			return err
		}
	}
}

func (n *Node) tryLaunch(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		return fmt.Errorf("node %s runs already", n.name)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	log, err := os.OpenFile(n.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return errors.Join(err, w.Close())
	}
	defer log.Close()
	// Not CommandContext: the server outlives the call.
	cmd := exec.Command("sh", append([]string{"-c", supervise, "sh", n.c.cfg.Binaries.program("postgres")}, n.arguments()...)...)
	cmd.Dir, cmd.SysProcAttr = "/", n.c.user.attributes()
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = []*os.File{r}, log, log
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start node %s: %w", n.name, err), w.Close())
	}
	n.cmd, n.pipe, n.done = cmd, w, make(chan struct{})
	go func(done chan struct{}) {
		_ = cmd.Wait() // how it ended stands in the log
		close(done)
	}(n.done)
	if err := n.await(ctx); err != nil {
		n.halt()
		return err
	}
	return nil
}

// arguments are the server's. Every setting is here, none in the data
// directory, so that a kept one can be started elsewhere.
func (n *Node) arguments() []string {
	args := []string{"-D", n.data(), "-p", strconv.Itoa(n.port), "-k", ""}
	set := map[string]string{
		"listen_addresses": "127.0.0.1", "fsync": "off", "full_page_writes": "off",
		"shared_buffers": "64MB", "max_connections": "300", "wal_level": "logical",
		"max_wal_senders": "10", "max_replication_slots": "10", "wal_keep_size": "512MB",
		"hot_standby": "on", "hot_standby_feedback": "on", "max_locks_per_transaction": "256",
		"wal_receiver_status_interval": "1s", "wal_retrieve_retry_interval": "100ms",
		"logging_collector": "off", "unix_socket_directories": "",
	}
	for k, v := range n.c.cfg.Params {
		set[k] = v
	}
	if n.primary != nil {
		set["primary_conninfo"] = fmt.Sprintf("host=127.0.0.1 port=%d user=postgres application_name=%s", n.primary.port, n.name)
	}
	for k, v := range set {
		args = append(args, "-c", k+"="+v)
	}
	return args
}

// await returns when the server answers a query.
func (n *Node) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, dsn(n.port, "postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-n.done:
			return fmt.Errorf("node %s ended while starting: %s", n.name, n.logTail())
		case <-ctx.Done():
			return fmt.Errorf("node %s did not answer: %w: %s", n.name, ctx.Err(), n.logTail())
		case <-time.After(20 * time.Millisecond): // between two attempts
		}
	}
}

// logTail returns the end of the server's log.
func (n *Node) logTail() []byte {
	b, err := os.ReadFile(n.logFile())
	if err != nil {
		return []byte(err.Error())
	}
	return b[max(0, len(b)-800):]
}

// halt stops the server and waits for its end. n.mu is held.
func (n *Node) halt() {
	if n.cmd == nil {
		return
	}
	n.pipe.Close()
	<-n.done
	n.cmd = nil
}

// Stop stops the node, as a failure of it. A stopped node stays so.
func (n *Node) Stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.halt()
}

// Start starts a stopped node again, on the same port.
func (n *Node) Start(ctx context.Context) error { return n.launch(ctx) }
