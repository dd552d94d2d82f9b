package pgdsn_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gormtenancy/gormtenancy/internal/pgdsn"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://u:secret@db:5433/app?sslmode=disable&pool_max_conns=3",
		"postgresql://u:secret@db:5433/app?sslmode=disable",
		"user=u password=secret host=db port=5433 dbname=app sslmode=disable",
		"password='a://b' user=u host=db port=5433 dbname=app sslmode=disable",
	} {
		c, err := pgdsn.Parse(dsn)
		if err != nil || c.Host != "db" || c.Port != 5433 || c.Database != "app" || c.User != "u" {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		for name := range c.RuntimeParams {
			if strings.HasPrefix(name, "pool_") {
				t.Errorf("%s: would send %s to the server", dsn, name)
			}
		}
	}
	for _, dsn := range []string{
		"mysql://u:secret@db/app", "postgres://u:secret@db:port/app", "user=u password='secret", "secret",
		"postgres://u:secret@db/app?sslmode=secret", "Postgres://u:secret@db/app",
	} {
		_, err := pgdsn.Parse(dsn)
		if !errors.Is(err, pgdsn.Err) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}

func TestWith(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ dsn, keyword, value, want string }{
		{"postgres://u:p@h:1/a?sslmode=disable", "dbname", "b", "postgres://u:p@h:1/b?sslmode=disable"},
		{"postgresql://h/a?x=1", "search_path", "s", "postgresql://h/a?search_path=s&x=1"},
		{"postgres://h/a?x=1", "x", "2", "postgres://h/a?x=2"},
		{"host=h dbname=a", "dbname", "b", "host=h dbname=a dbname=b"},
	} {
		got, err := pgdsn.With(c.dsn, c.keyword, c.value)
		if err != nil || got != c.want {
			t.Errorf("With(%s, %s, %s) = %q, %v, want %q", c.dsn, c.keyword, c.value, got, err, c.want)
		}
	}
	if _, err := pgdsn.With("postgres://u:secret@h:port", "x", "y"); !errors.Is(err, pgdsn.Err) || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}
