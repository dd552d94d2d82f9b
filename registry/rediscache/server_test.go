package rediscache

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// redisServer is a real Redis, which a test can kill, stop and start again.
type redisServer struct {
	program, dir, port string
	cmd                *exec.Cmd
	admin              *redis.Client
}

// realServer starts a Redis that keeps what it holds on disk.
func realServer(t testing.TB) *redisServer {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("no redis-server on this machine: install the Debian package redis-server to run this test")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close()
	s := &redisServer{program: program, dir: t.TempDir(), port: port}
	s.admin = redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, MaxRetries: -1})
	s.start(t)
	t.Cleanup(func() {
		s.kill(t)
		s.admin.Close()
	})
	return s
}

func (s *redisServer) url() string { return "redis://127.0.0.1:" + s.port }

func (s *redisServer) start(t testing.TB) {
	t.Helper()
	s.cmd = exec.Command(s.program, "--bind", "127.0.0.1", "--port", s.port, "--dir", s.dir, "--save", "",
		"--logfile", filepath.Join(s.dir, "log"))
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "start of redis-server", func() bool { return s.admin.Ping(background()).Err() == nil })
}

// save makes Redis come back with what it holds now.
func (s *redisServer) save(t testing.TB) {
	t.Helper()
	if err := s.admin.Save(background()).Err(); err != nil {
		t.Fatal(err)
	}
}

func (s *redisServer) flushAll(t testing.TB) {
	t.Helper()
	if err := s.admin.FlushAll(background()).Err(); err != nil {
		t.Fatal(err)
	}
}

func (s *redisServer) signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func (s *redisServer) stop(t testing.TB) { t.Helper(); s.signal(t, syscall.SIGSTOP) }
func (s *redisServer) cont(t testing.TB) { t.Helper(); s.signal(t, syscall.SIGCONT) }

func (s *redisServer) kill(t testing.TB) {
	t.Helper()
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// node is a registry with its Cache, nil for one without.
type node struct {
	*registry.Registry
	cache *Cache
}

func openNode(t testing.TB, dsn string, cache *Cache, ttl time.Duration) *node {
	t.Helper()
	cfg := registry.Config{DSN: dsn, HomeShard: "default", TTL: ttl, Logger: slog.New(slog.DiscardHandler)}
	if cache != nil {
		cfg.Cache = cache
	}
	r, err := registry.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return &node{r, cache}
}

// settled waits until the node uses Redis and has told it everything.
func (n *node) settled(t testing.TB) {
	t.Helper()
	p := &process{Cache: n.cache}
	p.used(t).told(t)
}

func (n *node) state(t testing.TB, id tenant.ID) tenant.State {
	t.Helper()
	got, err := n.Lookup(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return got.State
}

func createTenants(t testing.TB, r *registry.Registry, n int) []tenant.ID {
	t.Helper()
	ids := make([]tenant.ID, n)
	for i := range ids {
		ids[i] = tenant.ID(fmt.Sprint("t", i))
		if _, err := r.Create(t.Context(), tenant.Spec{ID: ids[i]}); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}
