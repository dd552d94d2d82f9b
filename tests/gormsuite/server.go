package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/gormtenancy/gormtenancy/internal/pgcluster"
	"github.com/gormtenancy/gormtenancy/internal/pgdsn"
)

// server is where the suite's databases are made.
type server struct {
	dsn  string // a database of the server, as a user that may create others
	stop func()
	made atomic.Int64
}

func (s *server) close() { s.stop() }

// openServer takes the server of dsn, or starts one.
func openServer(ctx context.Context, dsn string) (*server, error) {
	if dsn != "" {
		return &server{dsn: dsn, stop: func() {}}, nil
	}
	c, err := pgcluster.Start(ctx, pgcluster.Config{Shards: 1})
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	stop := func() { _ = c.Stop(context.WithoutCancel(ctx)) }
	return &server{dsn: c.Shards()[0].Primary.DSN, stop: stop}, nil
}

// database makes an empty database and returns its DSN in the suite's own
// time zone, and what drops it.
func (s *server) database(ctx context.Context, mode string) (string, func(), error) {
	name := "gormsuite_" + mode + "_" + strconv.FormatInt(s.made.Add(1), 10)
	drop := "drop database if exists " + name + " with (force)"
	for _, sql := range []string{drop, "create database " + name} {
		if err := s.exec(ctx, sql); err != nil {
			return "", nil, err
		}
	}
	dsn, err := inDatabase(s.dsn, name)
	return dsn, func() { _ = s.exec(context.WithoutCancel(ctx), drop) }, err
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

// inDatabase returns dsn for another database, with the time zone that GORM's
// tests expect.
func inDatabase(dsn, name string) (string, error) {
	dsn, err := pgdsn.With(dsn, "dbname", name)
	const zone = "TimeZone=Asia/Shanghai" // not encoded: GORM's driver looks for it in the DSN's text
	switch {
	case !strings.Contains(dsn, "://"):
		return dsn + " " + zone, err
	case strings.Contains(dsn, "?"):
		return dsn + "&" + zone, err
	}
	return dsn + "?" + zone, err
}
