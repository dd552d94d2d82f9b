package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is a redis-server that can be paused, killed and started again.
type server struct {
	program, dir, port string
	cmd                *exec.Cmd
	admin              *redis.Client
}

func startServer(ctx context.Context) (*server, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("no redis-server on this machine: install the Debian package redis-server")
	}
	dir, err := os.MkdirTemp("", "limitbench")
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close()
	s := &server{program: program, dir: dir, port: port}
	s.admin = redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, MaxRetries: -1})
	return s, s.start(ctx)
}

func (s *server) url() string { return "redis://127.0.0.1:" + s.port }

func (s *server) start(ctx context.Context) error {
	s.cmd = exec.Command(s.program, "--bind", "127.0.0.1", "--port", s.port, "--dir", s.dir, "--save", "", "--logfile", "log")
	if err := s.cmd.Start(); err != nil {
		return err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; {
		err := s.admin.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("redis-server does not answer: %w", err)
		}
		<-tick.C
	}
}

func (s *server) signal(sig syscall.Signal) error { return s.cmd.Process.Signal(sig) }

func (s *server) kill() error {
	err := s.cmd.Process.Kill()
	_ = s.cmd.Wait() // it says that it was killed
	return err
}

func (s *server) close() {
	_ = s.kill()
	_ = s.admin.Close()
	os.RemoveAll(s.dir)
}
