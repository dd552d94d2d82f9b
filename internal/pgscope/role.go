package pgscope

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Strict connections belong to a login that may do nothing, and each scope takes a
// role on, for the transaction, by the same statement that sets the path. What
// could take it off again is refused where a text shows it, and the server itself
// refuses a text that hides a second statement, because none goes by the simple
// protocol.

// Login is who a strict connection logs in as.
type Login struct {
	Name     string
	Password tenant.Secret
}

const (
	setRole = ", pg_catalog.set_config('role', "
	// strictBefore is fenceBefore for sessions that must have no role at rest.
	strictBefore = fenceBefore + "pg_catalog.current_setting('role') operator(pg_catalog.=) 'none' and "
	tidyRoleSQL  = "set role none; " + tidySQL
)

// noRole is the setting role's value of a session that has none.
const noRole = "none"

// role returns the role of the scope at hand.
func (w *wire) role() string {
	if w.scope.Role == "" {
		return noRole
	}
	return w.scope.Role
}

// setLocalRole is a utility command, as setLocal's is.
func (w *wire) setLocalRole(b []byte) []byte {
	if w.scope.Role == "" {
		return append(b, "set local role none"...)
	}
	return append(append(b, "set local role "...), tenant.QuoteIdent(w.scope.Role)...)
}

// appendSetRole sets the role behind the path's set_config in a select.
func (w *wire) appendSetRole(b []byte) []byte {
	b = append(b, setRole...)
	b = appendLiteral(b, func(b []byte) []byte { return append(b, w.role()...) })
	return append(b, ", true)"...)
}

var (
	errRoleless = fmt.Errorf("%w: its scope names none", tenant.ErrNoRole)
	errRole     = errors.New("pgscope: a scope with a role needs a connection with a login (Config.Login)")
	errSimple   = fmt.Errorf("%w: strict mode sends no text by the simple protocol, where it could hold several statements", tenant.ErrForbidden)
	errOutside  = fmt.Errorf("%w: it refuses to run in a transaction (CONCURRENTLY, VACUUM), and a tenant's role is taken on for a transaction: run it as the shard's own user", tenant.ErrForbidden)
	errRunsText = fmt.Errorf("%w: it runs a text that cannot be checked (DO, CREATE FUNCTION, query_to_xml, ts_stat, dblink and their like), which could take the tenant's role off", tenant.ErrForbidden)
)

// fits returns an error if the connection cannot run statements of a scope.
func (w *wire) fits(s Scope) error {
	switch {
	case w.strict && s.Schema != "" && s.Role == "":
		return errRoleless
	case !w.strict && s.Role != "":
		return errRole
	}
	return nil
}

// noRoleToTake reports whether a server's answer to a scope means that its role
// cannot be taken on: there is none, or the login is no member.
func noRoleToTake(code string) bool {
	return code == fenceCode || code == "42501" || code == "42704"
}

// execAlone runs a text without arguments by the extended protocol, in which the
// server takes one statement only. pgx's Exec would use the simple one.
func (c *Conn) execAlone(ctx context.Context, text string) (driver.Result, error) {
	if c.std.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	if text == "" {
		text = " " // pgx has the simple protocol for an empty one
	}
	rows, err := c.std.Conn().Query(ctx, text, pgx.QueryExecModeExec)
	if err == nil {
		rows.Close()
		err = rows.Err()
	}
	if err != nil && pgconn.SafeToRetry(err) {
		return nil, driver.ErrBadConn
	}
	return driver.RowsAffected(rows.CommandTag().RowsAffected()), err
}

// noArguments reports whether args holds nothing but pgx's options.
func noArguments(args []driver.NamedValue) bool {
	for _, a := range args {
		switch a.Value.(type) {
		case pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID:
		default:
			return false
		}
	}
	return true
}

// logIn opens a connection as the login, asked for anew, since its password may
// change.
func (c *Connector) logIn(ctx context.Context) (driver.Conn, error) {
	l, err := c.cfg.Login(ctx)
	if err != nil {
		return nil, err
	}
	conf := c.strict.Copy()
	conf.User, conf.Password = l.Name, l.Password.Reveal()
	dc, err := stdlib.GetConnector(*conf, c.cfg.Options...).Connect(ctx)
	if err != nil {
		return nil, err
	}
	if std, ok := dc.(*stdlib.Conn); ok {
		pc := std.Conn()
		switch {
		case pc.Config().User != l.Name:
			err = errors.New("pgscope: a BeforeConnect hook logs in as somebody else than the tenants' login")
		case pc.PgConn().ParameterStatus("is_superuser") != "off":
			err = errors.New("pgscope: the tenants' login is a superuser: it must be able to do nothing by itself")
		}
	}
	if err != nil {
		return nil, errors.Join(err, dc.Close())
	}
	return dc, nil
}
