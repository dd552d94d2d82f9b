package pgtool

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func fake(t *testing.T, name, script string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFind(t *testing.T) {
	t.Parallel()
	good := fake(t, "pg_dump", "echo 'pg_dump (PostgreSQL) 17.2 (Debian 17.2-1)'")
	if _, err := Find(t.Context(), good, "pg_dump", 17); err != nil {
		t.Error(err)
	}
	if _, err := Find(t.Context(), good, "pg_dump", 18); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "17, the server is 18") {
		t.Error(err)
	}
	for what, dir := range map[string]string{
		"missing": t.TempDir(), "broken": fake(t, "pg_dump", "exit 1"), "another": fake(t, "pg_dump", "echo hello"),
	} {
		if _, err := Find(t.Context(), dir, "pg_dump", 15); !errors.Is(err, ErrMissing) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("PGOPTIONS", "-c stray=1")
	t.Setenv("PGSSLCRL", "kept")
	for dsn, want := range map[string]string{
		"postgres://me:pa%20ss@one:5433,two/db?sslmode=disable&pool_max_conns=3&options=-c%20a%3Db": "PGHOST=one,two PGPORT=5433,5432 PGUSER=me " +
			"PGPASSWORD=pa ss PGDATABASE=db PGSSLMODE=disable PGOPTIONS=-c a=b PGSSLCRL=kept PGAPPNAME=x",
		`host=/tmp user=me password='it''s' sslmode = 'prefer' options='-c a=\'b\''`: "PGHOST=/tmp PGUSER=me PGSSLMODE=prefer PGOPTIONS=-c a='b'",
		"postgres://me@one/db?sslmode=require":                                       "PGHOST=one PGPORT=5432 PGSSLMODE=require",
	} {
		c, err := pgx.ParseConfig(strings.Replace(strings.Replace(dsn, "pool_max_conns=3&", "", 1), "it''s", "its", 1))
		if err != nil {
			t.Fatal(err)
		}
		ours := slices.DeleteFunc(environ(c, "x"), func(kv string) bool { return !strings.HasPrefix(kv, "PG") })
		got := "\n" + strings.Join(ours, "\n") + "\n"
		for kv := range strings.SplitSeq(strings.ReplaceAll(want, " PG", "\nPG"), "\n") {
			if !strings.Contains(got, "\n"+kv+"\n") {
				t.Errorf("%s: no %s in %s", dsn, kv, got)
			}
		}
		if strings.Contains(got, "stray") {
			t.Errorf("%s: %s", dsn, got)
		}
	}
}

// TestRun: a program's complaint is told without the password, which is on no command
// line, and the context ends it.
func TestRun(t *testing.T) {
	t.Parallel()
	c, err := pgx.ParseConfig("postgres://me:hush-hush@127.0.0.1:1/db")
	if err != nil {
		t.Fatal(err)
	}
	dir := fake(t, "pg_dump", `case "$1" in --version) echo "pg_dump (PostgreSQL) 99";; sleep) exec sleep 60;; *) echo "bad $PGPASSWORD" "$@" >&2; exit 3;; esac`)
	tool, err := Find(t.Context(), dir, "pg_dump", 15)
	if err != nil {
		t.Fatal(err)
	}
	err = tool.Run(t.Context(), Call{Database: c, Args: []string{"--all"}})
	if err == nil || !strings.Contains(err.Error(), "bad xxxxx --all") || strings.Contains(err.Error(), "hush") {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if err := tool.Run(ctx, Call{Args: []string{"sleep"}}); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 4*time.Second {
		t.Errorf("after %s: %v", time.Since(begun), err)
	}
}
