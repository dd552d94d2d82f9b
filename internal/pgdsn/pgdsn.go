package pgdsn

import (
	"errors"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Err replaces pgx's own error, which repeats the DSN and cannot hide every
// spelling of a password.
var Err = errors.New("the DSN cannot be read: want postgres://user:password@host:port/database or keyword=value pairs, as libpq takes them")

// Parse reads dsn, or returns Err. A pgxpool setting (pool_...) is left out: the
// server would refuse to hear of it.
func Parse(dsn string) (*pgx.ConnConfig, error) {
	scheme, _, isURL := strings.Cut(dsn, "://")
	if isURL && !strings.ContainsAny(scheme, " =") && scheme != "postgres" && scheme != "postgresql" {
		// pgx would take it, password and all, for the name of a setting.
		return nil, Err
	}
	p, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, Err
	}
	return p.ConnConfig, nil
}

// With returns dsn with another value of a keyword, such as dbname. The value
// must not need quotes.
func With(dsn, keyword, value string) (string, error) {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return dsn + " " + keyword + "=" + value, nil // the last one counts
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", Err
	}
	if keyword == "dbname" {
		u.Path = "/" + value
		return u.String(), nil
	}
	q := u.Query()
	q.Set(keyword, value)
	u.RawQuery = q.Encode()
	return u.String(), nil
}
