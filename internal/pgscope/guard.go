package pgscope

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/gormtenancy/gormtenancy/internal/sqltext"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// inspect refuses text that would step out of its scope, and notes text that
// leaves something behind on the session.
func inspect(w *wire, text string) (sqltext.Facts, error) {
	facts, err := w.judge(text)
	if err == nil && facts.SessionState() {
		w.taint()
	}
	return facts, err
}

// judge refuses text that would step out of its scope.
func (w *wire) judge(text string) (sqltext.Facts, error) {
	facts := sqltext.Of(text)
	if why := facts.Escape(); why != "" {
		return facts, fmt.Errorf("%w: %s", tenant.ErrForbidden, why)
	}
	if w.strict && facts.RunsText() {
		return facts, errRunsText
	}
	return facts, nil
}

// review is inspect for the text of a Parse message: a pgx.QueryRewriter makes that of
// another one, which was inspected. w.mu is held.
func (w *wire) review(msg []byte) error {
	if msg[0] != 'P' || w.arm != armScope && w.arm != armCopy {
		return nil
	}
	_, rest, _ := bytes.Cut(msg[headerLen:], []byte{0})
	text, _, _ := bytes.Cut(rest, []byte{0})
	facts, err := w.judge(string(text))
	w.tainted = w.tainted || facts.SessionState()
	return err
}

// The settings on which the reading of a text depends (see package sqltext). A server
// tells of both when it is connected to, and when they change.
const (
	stringsSetting  = "standard_conforming_strings"
	encodingSetting = "client_encoding"
)

var errUnreadable = errors.New("pgscope: with this standard_conforming_strings or client_encoding the server reads statements otherwise than they were checked: use on, and UTF8")

// readable reports whether a setting's value lets texts be read. The encodings that do
// not are those in which a byte of ASCII may be the second half of a character; a
// database has none of them, only a client.
func readable(setting, value string) bool {
	switch setting {
	case stringsSetting:
		return value == "on"
	case encodingSetting:
		switch value {
		case "SJIS", "SHIFT_JIS_2004", "BIG5", "GBK", "UHC", "JOHAB", "GB18030":
			return false
		}
	}
	return true
}

// Names find what an earlier owner left on the session in two ways: temporary
// objects (a CREATE finds its schema by the path, and where the tenant's is gone
// the next one in the path is pg_temp; a function or a trigger may make some at
// any time), and a path of the session, which counts once a raw COMMIT has ended
// the transaction. So the wire puts a fence before the first statement of another
// owner, which fails in the server if there is either. Nothing behind it ran
// then: the session is tidied, and the statement sent again.

// errHolds is the error of a statement on a pinned connection whose session
// another owner has changed.
var errHolds = errors.New("pgscope: another tenant changed this connection's session (a setting, a cursor, a prepared statement, a temporary table): use a connection of its own for each tenant")

// tidySQL leaves nothing in the session that a name could find.
const tidySQL = "set search_path to ''; discard temp"

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

// holds reports whether another owner than owner has changed the session.
func (w *wire) holds(owner string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tainted && w.stranger(owner)
}

// cleared notes that the session is clean, and owner's from here on.
func (w *wire) cleared(owner string) {
	w.mu.Lock()
	w.refused, w.unfenced, w.served, w.last = refusal{}, false, true, owner
	w.mu.Unlock()
}

// sent reports whether the server knows of an open transaction.
func (w *wire) sent() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status != txIdle && w.held == ""
}

// beEarly makes the wire take no snapshot before the armed statement.
func (w *wire) beEarly() {
	w.mu.Lock()
	w.early = true
	w.mu.Unlock()
}

// doubt notes that the open transaction's path may have been changed.
func (w *wire) doubt() {
	w.mu.Lock()
	w.dirty = true
	w.mu.Unlock()
}

// tookRefused returns what the server said to the wire's own statement, once.
func (w *wire) tookRefused() refusal {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.refused
	w.refused = refusal{}
	return r
}

// tidy takes what others left away, in a round trip of its own, so that owner's
// next statement needs no fence.
func (c *Conn) tidy(ctx context.Context, owner string) error {
	defer c.control()()
	text := tidySQL
	if c.wire.strict {
		text = tidyRoleSQL
	}
	if _, err := c.std.ExecContext(ctx, text, nil); err != nil {
		return fmt.Errorf("pgscope: clean the session after another tenant: %w", err)
	}
	c.wire.cleared(owner)
	return nil
}

// mend returns nil if a statement that failed with err is to be sent again: none of
// it was executed, and what was in its way is gone.
func (c *Conn) mend(ctx context.Context, s Scope, err error) error {
	r := c.wire.tookRefused()
	switch {
	case r.roleless:
		return fmt.Errorf("%w: %w", tenant.ErrNoRole, err)
	case c.wire.open():
		if !r.fenced {
			return err
		}
		err = c.restart(ctx, s)
	case r.code == fenceCode:
		err = c.tidy(ctx, s.Owner)
	case r.code != "", stalePlan(err):
		err = nil
	}
	if err == nil {
		c.wire.set(armScope, s)
	}
	return err
}

// early prepares for a command that has to come before the transaction's
// snapshot: the fence would take one.
func (c *Conn) early(ctx context.Context, s Scope) error {
	if c.wire.foreign(s.Owner) && !c.wire.sent() {
		if err := c.tidy(ctx, s.Owner); err != nil {
			return err
		}
	}
	c.wire.set(armScope, s)
	c.wire.beEarly()
	return nil
}

// restart begins a transaction anew whose first statement met the fence.
func (c *Conn) restart(ctx context.Context, s Scope) error {
	defer c.wire.disarm()
	c.wire.set(armControl, Scope{})
	_, err := c.std.ExecContext(ctx, "rollback", nil)
	if err == nil {
		err = c.tidy(ctx, s.Owner)
	}
	if err == nil {
		c.wire.set(armBegin, s)
		_, err = c.std.ExecContext(ctx, c.wire.lastBegin(), nil)
	}
	if err != nil {
		c.abandon(err)
	}
	return err
}

// lastBegin returns the BEGIN that was held back or sent last.
func (w *wire) lastBegin() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.begun
}
