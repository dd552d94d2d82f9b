package resolver

import (
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gormtenancy/gormtenancy/internal/pool"
)

// replicaFault reports whether a read failed for a reason that the primary
// does not share: the replica is down or given up, starting, shutting down, or cancelled
// the statement to replay the primary's changes.
func replicaFault(err error) bool {
	var down *pool.DownError
	if errors.As(err, &down) {
		return true
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "40001", // conflict with recovery
			"57P01", "57P02", "57P03", // shutdown, crash, cannot connect now
			"53300": // too many connections
			return true
		}
		return strings.HasPrefix(pg.Code, "08")
	}
	var op *net.OpError
	var connect *pgconn.ConnectError
	return errors.As(err, &op) || errors.As(err, &connect) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, io.EOF) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, pool.ErrClosed)
}

// refusedByReplica reports whether the statement needs a primary: it writes
// (25006), or takes a lock or uses something that recovery does not allow.
func refusedByReplica(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "25006" || pg.Code == "55000" && strings.Contains(pg.Message, "recovery"))
}

func sameType(a, b any) bool { return reflect.TypeOf(a) == reflect.TypeOf(b) }
