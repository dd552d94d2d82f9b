package metrics

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"os"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Classify returns the class of a statement's error. What the server said is read
// from an interface{ SQLState() string } in err's chain. sql.ErrNoRows is no error;
// other libraries' sentinels for the same are the caller's to sort out.
func Classify(err error) Class {
	switch {
	case err == nil, errors.Is(err, sql.ErrNoRows):
		return ClassNone
	case errors.Is(err, context.Canceled):
		return ClassCanceled
	case errors.Is(err, tenant.ErrLimited):
		return ClassLimited
	}
	var server interface{ SQLState() string }
	if errors.As(err, &server) {
		if c := classOf(server.SQLState()); c != ClassNone {
			return c
		}
	}
	return classLocal(err)
}

// classOf returns the class of an SQLSTATE, ClassNone if it is none.
func classOf(state string) Class {
	switch state {
	case "57014", "25P03", "25P04": // statement, idle in transaction, transaction timeout
		return ClassTimeout
	case "40001", "40P01", "55P03":
		return ClassConflict
	case "42501":
		return ClassRefused
	case "53300":
		return ClassConnection // too many of them
	case "57P05":
		return ClassTimeout // idle session
	}
	if len(state) != 5 {
		return ClassNone
	}
	switch state[:2] {
	case "08":
		return ClassConnection
	case "22", "42":
		return ClassInvalid
	case "23":
		return ClassConstraint
	}
	if state[:3] == "57P" {
		return ClassConnection
	}
	return ClassOther
}

// refusals are the conditions of the tenant's that stop a statement.
var refusals = []error{
	tenant.ErrNone, tenant.ErrInvalidID, tenant.ErrInvalidSchema, tenant.ErrUnknown, tenant.ErrSuspended, tenant.ErrNotActive,
	tenant.ErrVersion, tenant.ErrMismatch, tenant.ErrMisplaced, tenant.ErrTxEnded, tenant.ErrNoRole, tenant.ErrForbidden, tenant.ErrUnknownShard,
}

// classLocal classifies what no server said.
func classLocal(err error) Class {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return ClassTimeout
	}
	for _, refusal := range refusals {
		if errors.Is(err, refusal) {
			return ClassRefused
		}
	}
	var network net.Error
	switch {
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, net.ErrClosed),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, tenant.ErrUnavailable), errors.As(err, &network):
		return ClassConnection
	}
	return ClassOther
}
