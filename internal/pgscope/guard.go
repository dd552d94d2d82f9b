package pgscope

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/gormtenancy/gormtenancy/internal/sqltext"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// inspect refuses text that would step out of its scope, and notes text that
// leaves something behind on the session.
func inspect(w *wire, owner, text string) (sqltext.Facts, error) {
	facts := sqltext.Of(text)
	if why := facts.Escape(); why != "" {
		return facts, fmt.Errorf("%w: %s", tenant.ErrForbidden, why)
	}
	if facts.SessionState() {
		w.taint()
	}
	if facts.Command() == sqltext.DDL {
		w.changed(owner)
	}
	return facts, nil
}

// A CREATE finds its schema by the path, and where the tenant's is gone the
// next one in the path is pg_temp: the session keeps what was made, for all who
// come after. So the first statement of another owner asks before.
const tempSQL = "select pg_catalog.pg_my_temp_schema()::pg_catalog.int8"

var errTemporary = errors.New("pgscope: the connection may hold temporary tables of another tenant: use it through database/sql")

// changed notes a command that may have made something in the session.
func (w *wire) changed(owner string) {
	w.mu.Lock()
	w.suspect, w.maker = true, owner
	w.mu.Unlock()
}

// suspicious reports whether another owner than owner may have made something.
func (w *wire) suspicious(owner string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.suspect && w.maker != owner
}

// cleared takes the suspicion back.
func (w *wire) cleared() {
	w.mu.Lock()
	w.suspect = false
	w.mu.Unlock()
}

// verify makes sure that owner finds nothing of another's in the session, or
// closes the connection. Nothing of owner's was sent yet then, so that it may be
// tried on another one.
func (c *Conn) verify(ctx context.Context, owner string) error {
	if !c.wire.suspicious(owner) || c.cfg.Pooler {
		return nil
	}
	clean, err := c.noTemporary(ctx)
	if err != nil {
		return err
	}
	if !clean {
		c.abandon(driver.ErrBadConn)
		return driver.ErrBadConn
	}
	c.wire.cleared()
	return nil
}

// noTemporary reports whether the session never had a temporary object.
func (c *Conn) noTemporary(ctx context.Context) (bool, error) {
	defer c.control()()
	rows, err := c.std.QueryContext(ctx, tempSQL, nil)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	cell := make([]driver.Value, 1)
	if err := rows.Next(cell); err != nil {
		return false, err
	}
	return cell[0] == int64(0), nil
}
