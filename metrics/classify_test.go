package metrics

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// state is an error of the server's.
type state string

func (s state) Error() string    { return "server: " + string(s) }
func (s state) SQLState() string { return string(s) }

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want Class
		errs []error
	}{
		{ClassNone, []error{nil, sql.ErrNoRows}},
		{ClassTimeout, []error{context.DeadlineExceeded, os.ErrDeadlineExceeded, state("57014"), state("25P03"), state("25P04"), state("57P05")}},
		{ClassCanceled, []error{context.Canceled, errors.Join(state("57014"), context.Canceled)}},
		{ClassLimited, []error{tenant.ErrLimited, fmt.Errorf("%w: %w", tenant.ErrLimited, context.DeadlineExceeded)}},
		{ClassConflict, []error{state("40001"), state("40P01"), state("55P03")}},
		{ClassConstraint, []error{state("23505"), state("23503")}},
		{ClassConnection, []error{
			state("08006"), state("57P01"), state("53300"), driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
			&net.OpError{Op: "dial", Err: errors.New("refused")}, tenant.ErrUnavailable,
		}},
		{ClassRefused, []error{state("42501"), tenant.ErrNone, tenant.ErrSuspended, tenant.ErrForbidden, tenant.ErrMismatch, tenant.ErrUnknown}},
		{ClassInvalid, []error{state("42601"), state("42P01"), state("22012")}},
		{ClassOther, []error{errors.New("?"), state("P0001"), state("57000"), state("no state"), state("")}},
	} {
		for _, err := range c.errs {
			if got := Classify(err); got != c.want {
				t.Errorf("%v is %v, want %v", err, got, c.want)
			}
			if err == nil {
				continue
			}
			if got := Classify(fmt.Errorf("find: %w", err)); got != c.want {
				t.Errorf("%v, wrapped, is %v, want %v", err, got, c.want)
			}
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	if KindRead.String() != "read" || KindDDL.String() != "ddl" || Kind(200).String() != "other" ||
		ClassNone.String() != "none" || ClassOther.String() != "other" || Class(200).String() != "other" || ClassOther != NumClasses-1 || KindOther != NumKinds-1 {
		t.Error("names are wrong")
	}
}
