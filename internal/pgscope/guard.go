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
	if facts.Command() == sqltext.DDL || facts.CallsUnknown() {
		w.suspicious(owner)
	}
	return facts, nil
}

// Names find what an earlier owner left on the session in two ways: temporary
// objects (a CREATE finds its schema by the path, and where the tenant's is gone
// the next one in the path is pg_temp; a function or a trigger may make some at
// any time), and a path of the session, which counts once a raw COMMIT has ended
// the transaction. So the wire puts a fence before the first statement of another
// owner, which fails in the server if there is either. The connection is closed
// then, and the statement tried on another one: nothing of it was executed.

// errUnclean is the error of a transaction's first statement that met the fence.
var errUnclean = errors.New("pgscope: the connection held temporary objects or a search_path that an earlier tenant's code left on the session; it was closed, nothing was executed: run the transaction again")

// errHolds is the error of a statement on a pinned connection whose session
// another owner has changed.
var errHolds = errors.New("pgscope: another tenant changed this connection's session (a setting, a cursor, a prepared statement, a temporary table): use a connection of its own for each tenant")

// suspicious notes a command that may have made something in the session.
func (w *wire) suspicious(owner string) {
	w.mu.Lock()
	w.suspect, w.maker = true, owner
	w.mu.Unlock()
}

// stranger reports whether somebody else than owner was served last. Behind a
// pooler, nobody knows. w.mu is held.
func (w *wire) stranger(owner string) bool {
	return w.served && (w.last != owner || w.unfenced) && !w.unnamed
}

// foreign reports whether owner was not served last.
func (w *wire) foreign(owner string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stranger(owner)
}

// asks reports whether owner is to ask before a transaction begins: what the
// fence finds in its first statement, nobody could try again.
func (w *wire) asks(owner string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.suspect && w.stranger(owner)
}

// meets reports whether owner's next statement meets the fence in the packet of
// a BEGIN.
func (w *wire) meets(owner string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held != "" && w.stranger(owner)
}

// holds reports whether another owner than owner has changed the session.
func (w *wire) holds(owner string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tainted && w.stranger(owner)
}

// cleared notes that the session is clean, and owner's from here on.
func (w *wire) cleared(owner string) {
	w.mu.Lock()
	w.suspect, w.unfenced, w.served, w.last = false, false, true, owner
	w.mu.Unlock()
}

// tookUnclean reports whether the fence has failed.
func (w *wire) tookUnclean() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unclean
}

// ask makes sure, in a round trip of its own, that owner finds nothing of
// another's in the session, or closes the connection.
func (c *Conn) ask(ctx context.Context, owner string) error {
	clean, err := c.clean(ctx)
	if err != nil {
		return err
	}
	if !clean {
		return c.foundUnclean()
	}
	c.wire.cleared(owner)
	return nil
}

// foundUnclean closes the connection. Outside transactions the error says that
// the statement may be tried on another one.
func (c *Conn) foundUnclean() error {
	why := driver.ErrBadConn
	if c.inTx {
		why = errUnclean
	}
	c.abandon(why)
	return why
}

// clean reports whether the session has nothing that a name could find.
func (c *Conn) clean(ctx context.Context) (bool, error) {
	defer c.control()()
	rows, err := c.std.QueryContext(ctx, "select "+cleanSQL, nil)
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
