package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	"github.com/gormtenancy/gormtenancy/internal/pgdsn"
)

// server is where the measurements' databases are made.
type server struct {
	dsn  string          // a database of the server, as a user that may create others
	ctx  context.Context // for closing: it outlives the run's
	stop func()
	mu   sync.Mutex // guards made
	made []string
}

// openServer takes the server of dsn, or starts one.
func openServer(ctx context.Context, dsn string) (*server, error) {
	if dsn != "" {
		return &server{dsn: dsn, ctx: context.WithoutCancel(ctx), stop: func() {}}, nil
	}
	c, err := pgcluster.Start(ctx, pgcluster.Config{Shards: 1})
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	ctx = context.WithoutCancel(ctx)
	return &server{dsn: c.Shards()[0].Primary.DSN, ctx: ctx, stop: func() { _ = c.Stop(ctx) }}, nil
}

// close drops what was made and ends a server of our own.
func (s *server) close() {
	ctx := s.ctx
	for _, name := range s.made {
		_ = s.exec(ctx, "drop database if exists "+name+" with (force)")
	}
	s.stop()
}

// database makes an empty database and returns its DSN.
func (s *server) database(ctx context.Context, purpose string) (string, error) {
	name := "bench_" + purpose
	for _, sql := range []string{"drop database if exists " + name + " with (force)", "create database " + name} {
		if err := s.exec(ctx, sql); err != nil {
			return "", err
		}
	}
	s.mu.Lock()
	s.made = append(s.made, name)
	s.mu.Unlock()
	return pgdsn.With(s.dsn, "dbname", name)
}

func (s *server) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return fmt.Errorf("reach the server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("prepare a database: %w", err)
	}
	return nil
}
