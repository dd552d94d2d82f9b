package wirecount

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Through starts a proxy in front of the server that dsn names, a URL or a
// keyword/value string, and returns it with the DSN that goes through it.
func Through(ctx context.Context, dsn string, o Options) (*Proxy, string, error) {
	cfg, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, "", fmt.Errorf("read DSN: %w", err) // pgconn redacts the password
	}
	p, err := Start(ctx, address(cfg), o)
	if err != nil {
		return nil, "", err
	}
	through, err := Redirect(dsn, p.Addr())
	if err != nil {
		p.Close()
		return nil, "", err
	}
	return p, through, nil
}

func address(cfg *pgconn.Config) string {
	port := strconv.Itoa(int(cfg.Port))
	if strings.HasPrefix(cfg.Host, "/") {
		return filepath.Join(cfg.Host, ".s.PGSQL."+port)
	}
	return net.JoinHostPort(cfg.Host, port)
}

// Redirect returns dsn, a URL or a keyword/value string, with the host and
// port of addr.
func Redirect(dsn, addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("split address: %w", err)
	}
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return fmt.Sprintf("%s host=%s port=%s", dsn, host, port), nil // the last one counts
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errors.New("read DSN as a URL: the text is not one")
	}
	u.Host = addr
	q := u.Query()
	q.Del("host")
	q.Del("port")
	u.RawQuery = q.Encode()
	return u.String(), nil
}
