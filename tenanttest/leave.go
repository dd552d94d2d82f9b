package tenanttest

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gormtenancy/gormtenancy/tenant"
)

const leaves = "left behind"

// leavings change the session where no text says so, as functions and triggers
// may.
var leavings = []string{
	"do $$ begin create temp table tenanttest_loot as select owner from tenanttest_canaries limit 1; end $$",
	"do $$ begin create temp table tenanttest_loot on commit drop as select owner from tenanttest_canaries; end $$",
	"do $$ begin perform set_config('search_path', current_schema(), false); end $$",
	"do $$ begin execute 'deallocate all'; end $$",
}

// leave leaves something on a session, and looks for what others left there.
func (o *op) leave() error {
	left := o.db.Exec(leavings[o.rnd.IntN(len(leavings))]).Error
	if o.rnd.IntN(2) == 0 {
		var owners []string
		err := o.db.Raw("select owner from tenanttest_loot").Scan(&owners).Error
		o.saw(owners...)
		return errors.Join(unlessState(left, "42P07"), unlessState(err, "42P01")) // it is the tenant's own, or none
	}
	// Behind a COMMIT only the session's path is left. The audit finds the row
	// wherever it went.
	const text = "commit; insert into tenanttest_canaries (owner) values ('%s')"
	err := o.db.Exec(fmt.Sprintf(text, o.id)).Error
	return errors.Join(unlessState(left, "42P07"), unlessState(err, "42P01"))
}

// byName reads another tenant's canaries, which the server must deny.
func (o *op) byName() error {
	var owners []string
	err := o.db.Raw("select owner from " + tenant.QuoteIdent(tenant.SchemaFor(o.other())) + ".tenanttest_canaries").Scan(&owners).Error
	o.saw(owners...)
	return unlessState(err, "42501")
}

// unlessState returns err, nil if it has the SQLSTATE.
func unlessState(err error, state string) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == state {
		return nil
	}
	return err
}
