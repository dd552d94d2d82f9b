package metrics

import (
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Kind is what a statement does.
type Kind uint8

// The kinds.
const (
	KindRead Kind = iota
	KindWrite
	KindDDL
	KindOther
)

// NumKinds is the number of kinds.
const NumKinds = 4

var kindNames = [NumKinds]string{"read", "write", "ddl", "other"}

// String returns the kind's name in lower case.
func (k Kind) String() string { return kindNames[k.known()] }

func (k Kind) known() Kind { return min(k, KindOther) }

// Class is what kind of error a statement ended with. Classify finds it.
type Class uint8

// The classes.
const (
	ClassNone       Class = iota // no error
	ClassTimeout                 // a deadline, or one of the server's timeouts
	ClassCanceled                // the caller went away
	ClassLimited                 // over a limit of the tenant's
	ClassConflict                // serialisation failure, deadlock, lock not available
	ClassConstraint              // an integrity constraint
	ClassConnection              // the server could not be reached, or went away
	ClassRefused                 // not allowed: the tenant's state or scope, or privileges
	ClassInvalid                 // the statement, or a value in it, is wrong
	ClassOther
)

// NumClasses is the number of classes, ClassNone among them.
const NumClasses = 10

var classNames = [NumClasses]string{
	"none", "timeout", "canceled", "limited", "conflict", "constraint", "connection", "refused", "invalid", "other",
}

// String returns the class's name in lower case.
func (c Class) String() string { return classNames[c.known()] }

func (c Class) known() Class { return min(c, ClassOther) }

// Statement is what Observe is told of one that ended.
type Statement struct {
	// Tenant is whose it was; empty for statements on shared tables, which count in
	// the aggregates and as tenant "_shared".
	Tenant tenant.ID
	// Shard is where it ran; empty if it reached none: then the tenant's last one counts.
	Shard string
	// Kind and Class are what it did, and how it failed.
	Kind  Kind
	Class Class
	// Duration is the time that the database took, Wait that for a connection, which
	// Duration does not include.
	Duration, Wait time.Duration
	// Rows were returned or affected; negative counts as none.
	Rows int64
	// RoundTrips were made to the server.
	RoundTrips int
	// Replica is whether a replica answered.
	Replica bool
	// Text is the SQL, for its fingerprint; it may be empty.
	Text string
	// TraceID, if not empty, makes the statement an exemplar of its bucket.
	TraceID string
}
