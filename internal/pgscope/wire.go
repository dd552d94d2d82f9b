package pgscope

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// arm says what the next group of frontend messages may do.
type arm uint8

const (
	armNone    arm = iota // nothing but closing statements
	armControl            // pass as it is: commit, rollback, ping, connection set-up
	armBegin              // a BEGIN to hold back
	armScope              // a statement of w.scope
	armCopy               // its COPY, whose text pgx makes and sends as a simple query
)

// kept is what the server knows: the scope statement, and the fence.
type kept struct{ scope, fence bool }

// Transaction states, as ReadyForQuery reports them.
const (
	txStarting byte = 0 // the connection is not ready yet
	txIdle     byte = 'I'
	txOpen     byte = 'T'
	txFailed   byte = 'E'
)

var (
	errUnarmed  = errors.New("pgscope: statement without a scope was not sent: use the context-taking methods of the connection")
	errProtocol = errors.New("pgscope: unexpected answer of the server")
)

// answer describes what one group of ours and the client's messages will be
// answered with, until its ReadyForQuery.
type answer struct {
	lead   int    // CloseCompletes of the client that come before skip
	skip   string // types of the messages to drop, in their order
	shift  int    // bytes that stand before the client's text in a simple query
	kept   *bool  // whether the server knows the statement that skip is of
	parses bool   // kept is set when the first ParseComplete of skip comes
	fenced bool   // skip ends with the fence's
}

// refusal is what the server said to a statement that the wire inserted: nothing
// behind it was executed.
type refusal struct {
	code   string // SQLSTATE
	fenced bool   // it was the fence, in front of a transaction's first statement
	// roleless: it was the scope, whose role cannot be taken on.
	roleless bool
}

// wire is the net.Conn that pgx speaks to.
type wire struct {
	net.Conn
	path    path
	unnamed bool // prepare the scope statement anew each time (poolers)
	strict  bool // scopes have roles

	// mu guards what follows, up to the next comment. It is never held during
	// network input or output: pgx may read in the background while it writes.
	mu         sync.Mutex
	arm        arm
	scope      Scope
	refusal    error // why the next group is refused, if it is
	traced     int   // depth of pgx calls that the tracer armed
	status     byte
	owner      string // whose transaction is open
	served     bool   // a statement was sent, the last one for
	last       string // this owner
	unfenced   bool   // a fence did not get that far
	refused    refusal
	held       string // text of a BEGIN that was not sent yet
	begun      string // of the last one
	early      bool   // the armed statement comes before any snapshot
	dirty      bool   // the open transaction's path may have been changed
	tainted    bool   // the session may have been changed
	untimed    bool   // the open transaction has not had the scope's timeouts
	plain      kept   // what the server knows of scopes without timeouts
	timed      kept   // and of those with
	trips      uint64 // groups that were sent
	temps      bool   // the session has a temporary schema, empty or not
	pending    []answer
	local      []byte // answers made here, not read by pgx yet
	reading    bool   // Read waits for the server
	inGroup    bool   // between the first message of an extended group and Sync
	scoped     bool   // the group has its scope
	describing bool   // the answer describes a prepared statement
	userTypes  bool   // a description had a type that may differ between tenants

	// Of the writing goroutine alone.
	partial []byte // an incomplete frontend message
	out     []byte

	// readMu guards what follows. It is taken before mu and held while the
	// server is awaited: when pgx gives a connection up, its closing goroutine
	// and its background reader both read, which any net.Conn allows.
	readMu sync.Mutex
	in     []byte
	r, w   int // unread part of in
	pass   int // bytes of the current message that still go to pgx
	drop   int // bytes of the current message that still go nowhere
	broken error
}

func newWire(c net.Conn, p path, unnamed, strict bool) *wire {
	return &wire{Conn: c, path: p, unnamed: unnamed, strict: strict, arm: armControl, in: make([]byte, 16<<10)}
}

// set arms the wire for the next groups.
func (w *wire) set(a arm, s Scope) {
	w.mu.Lock()
	w.arm, w.scope, w.refusal, w.early = a, s, nil, false
	if a == armScope || a == armCopy {
		w.refused = refusal{}
	}
	w.mu.Unlock()
}

// disarm ends what set began.
func (w *wire) disarm() { w.set(armNone, Scope{}) }

// refuse makes the next group fail with err instead of being sent.
func (w *wire) refuse(err error) {
	w.mu.Lock()
	w.arm, w.refusal = armNone, err
	w.mu.Unlock()
}

// enter counts a call of pgx that the driver did not arm, and reports whether
// it is the outermost one.
func (w *wire) enter() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.traced == 0 && w.arm != armNone {
		return false
	}
	w.traced++
	return w.traced == 1
}

// leave ends what enter counted.
func (w *wire) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.traced == 0 {
		return
	}
	if w.traced--; w.traced == 0 {
		w.arm, w.scope, w.refusal = armNone, Scope{}, nil
	}
}

// check returns an error if a statement of owner may not join the open
// transaction.
func (w *wire) check(owner string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fence(owner)
}

func (w *wire) fence(owner string) error {
	if w.status == txIdle || w.owner == owner {
		return nil
	}
	return fmt.Errorf("%w (open: %q, asked: %q)", tenant.ErrMismatch, w.owner, owner)
}

// open reports whether a transaction is open, sent or held back.
func (w *wire) open() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status != txIdle
}

// roundTrips returns how many groups were sent, each answered once.
func (w *wire) roundTrips() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trips
}

// reusable reports whether the session is as it was after connecting, with no
// transaction open.
func (w *wire) reusable() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status == txIdle && !w.tainted && w.refused.code == ""
}

// taint marks the session as changed.
func (w *wire) taint() {
	w.mu.Lock()
	w.tainted = true
	w.mu.Unlock()
}

// settle ends the connection's set-up: what it changed is the session's
// ordinary state.
func (w *wire) settle() {
	w.mu.Lock()
	w.tainted, w.arm = false, armNone
	w.mu.Unlock()
}
