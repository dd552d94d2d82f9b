package pgscope

import (
	"context"
	"database/sql/driver"
	"errors"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Config says how a Connector connects and scopes.
type Config struct {
	// Conn is the database, made by pgx.ParseConfig. Its mode, hooks and tracer
	// are kept; its search_path is not.
	Conn *pgx.ConnConfig
	// Options are passed to pgx's stdlib driver. Their AfterConnect hook runs
	// with an empty search_path.
	Options []stdlib.OptionOpenDB
	// Scope tells the scope of a statement from its context. Its error is the
	// statement's. Required.
	Scope func(context.Context) (Scope, error)
	// Visible are the schemas that follow each tenant's in its path.
	Visible []string
	// Login, if not nil, makes the connections strict: they log in as it says, asked for
	// each, and every scope's Role is taken on with its path. The login must be a
	// member of the roles, inherit nothing of them, and may do nothing itself. Conn must
	// not use pgx's simple_protocol mode, whose texts may hold several statements.
	Login func(context.Context) (Login, error)
	// Pooler is for transaction poolers that know no prepared statements: the
	// scope statement is parsed anew each time, and the connection's own path
	// is left alone. Conn must use pgx's exec or simple_protocol mode.
	Pooler bool
}

// Connector opens scoped connections. It is a driver.Connector.
type Connector struct {
	cfg    Config
	inner  driver.Connector
	strict *pgx.ConnConfig // with Config.Login
}

// NewConnector returns a Connector, or an error that says what cfg lacks.
func NewConnector(cfg Config) (*Connector, error) {
	switch {
	case cfg.Conn == nil:
		return nil, errors.New("pgscope: Config.Conn is required")
	case cfg.Scope == nil:
		return nil, errors.New("pgscope: Config.Scope is required")
	case cfg.Pooler && cfg.Conn.DefaultQueryExecMode != pgx.QueryExecModeExec &&
		cfg.Conn.DefaultQueryExecMode != pgx.QueryExecModeSimpleProtocol:
		return nil, errors.New("pgscope: behind a transaction pooler use default_query_exec_mode=exec or simple_protocol")
	case cfg.Login != nil && cfg.Conn.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol:
		return nil, errors.New("pgscope: strict connections cannot use pgx's simple protocol, whose texts may hold several statements: use default_query_exec_mode=exec, or leave it out")
	}
	c := &Connector{cfg: cfg}
	wired := c.wired(cfg.Conn.Copy())
	c.inner = stdlib.GetConnector(*wired, cfg.Options...)
	if cfg.Login != nil {
		c.strict = wired
	}
	return c, nil
}

// keepsPlans reports whether pgx prepares statements and keeps them by text.
func (c *Config) keepsPlans() bool { return c.Conn.StatementCacheCapacity > 0 && !c.Pooler }

// wired returns conf with the wire and the tracer in place.
func (c *Connector) wired(conf *pgx.ConnConfig) *pgx.ConnConfig {
	if conf.RuntimeParams == nil {
		conf.RuntimeParams = map[string]string{}
	}
	if !c.cfg.Pooler {
		conf.RuntimeParams["search_path"] = ""
	}
	if c.cfg.keepsPlans() {
		// The tenants' own statements must not push out the shared ones.
		conf.StatementCacheCapacity += hotLimit
	}
	p, before := newPath(c.cfg.Visible), conf.AfterNetConnect
	conf.AfterNetConnect = func(ctx context.Context, pc *pgconn.Config, nc net.Conn) (net.Conn, error) {
		if before != nil {
			var err error
			if nc, err = before(ctx, pc, nc); err != nil {
				return nc, err
			}
		}
		return newWire(nc, p, c.cfg.Pooler, c.cfg.Login != nil), nil
	}
	if conf.Tracer == nil {
		conf.Tracer = tracer{&c.cfg}
	} else {
		conf.Tracer = multitracer.New(tracer{&c.cfg}, conf.Tracer)
	}
	return conf
}

// Connect opens a connection. The result is a *Conn.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	connect := c.inner.Connect
	if c.strict != nil {
		connect = c.logIn
	}
	dc, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	std, ok := dc.(*stdlib.Conn)
	if !ok {
		return nil, errors.Join(errors.New("pgscope: unexpected driver connection"), dc.Close())
	}
	w, ok := std.Conn().PgConn().Conn().(*wire)
	if !ok {
		return nil, errors.Join(errors.New("pgscope: the connection does not run over the wire"), dc.Close())
	}
	for _, name := range []string{stringsSetting, encodingSetting} {
		if !readable(name, std.Conn().PgConn().ParameterStatus(name)) {
			return nil, errors.Join(errUnreadable, dc.Close())
		}
	}
	w.settle()
	conn := &Conn{std: std, wire: w, cfg: &c.cfg}
	if err := conn.checkHooks(ctx); err != nil {
		return nil, errors.Join(err, dc.Close())
	}
	return conn, nil
}

// errHook refuses a connection that could serve one owner only.
var errHook = errors.New("pgscope: the AfterConnect hook sets search_path or makes a temporary table, which every tenant would find: name what is shared with WithSearchPath")

// checkHooks makes sure that hooks of the application leave the session clean.
func (c *Conn) checkHooks(ctx context.Context) error {
	if len(c.cfg.Options) == 0 && c.cfg.Conn.AfterConnect == nil || c.cfg.Pooler {
		return nil
	}
	clean, err := c.clean(ctx)
	if err == nil && !clean {
		err = errHook
	}
	return err
}

// Driver returns pgx's driver.
func (c *Connector) Driver() driver.Driver { return c.inner.Driver() }

// clean reports whether the session has nothing that a name could find.
func (c *Conn) clean(ctx context.Context) (bool, error) {
	defer c.control()()
	rows, err := c.std.QueryContext(ctx, "select "+ownPath+" and "+noTempObjects, nil)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	cell := make([]driver.Value, 1)
	if err := rows.Next(cell); err != nil {
		return false, err
	}
	return cell[0] == true, nil
}
