package resolver

import (
	"context"
	"time"
)

// Span is a context under which statements run, and notes what became of them. It
// serves one goroutine at a time; read it after the statements.
type Span struct {
	context.Context
	// Route is where the last statement ran.
	Route Route
	// Wait is how long statements waited for a connection.
	Wait time.Duration
	// RoundTrips is how often the server was asked, by a connection that counts.
	RoundTrips uint64
	outer      *Span
	metered    bool // its owner accounts for it
	ended      bool
}

type spanKey struct{}

// Begin makes s a Span under ctx whose owner accounts for all that runs in it: the
// Router tells its Meter nothing of that. What statements under an inner Span do, the
// outer ones are told too.
func (s *Span) Begin(ctx context.Context) {
	*s = Span{Context: orEmpty(ctx), outer: spanOf(ctx), metered: true}
}

// End says that nothing more will be accounted for.
func (s *Span) End() { s.ended = true }

// Value implements context.Context.
func (s *Span) Value(key any) any {
	if key == (spanKey{}) {
		return s
	}
	return s.Context.Value(key)
}

// spanOf returns the innermost Span of ctx, or nil.
func spanOf(ctx context.Context) *Span {
	if ctx == nil {
		return nil
	}
	s, _ := ctx.Value(spanKey{}).(*Span)
	return s
}

// accountable returns the innermost one whose owner accounts for it, or nil.
func (s *Span) accountable() *Span {
	for ; s != nil; s = s.outer {
		if s.metered && !s.ended {
			return s
		}
	}
	return nil
}

func (s *Span) ran(r Route) {
	for ; s != nil; s = s.outer {
		s.Route = r
	}
}

func (s *Span) waited(d time.Duration) {
	for ; s != nil; s = s.outer {
		s.Wait += d
	}
}

func (s *Span) asked(trips uint64) {
	for ; s != nil; s = s.outer {
		s.RoundTrips += trips
	}
}

// Route says where a statement ran.
type Route struct {
	Shard   string
	Node    string // "primary", "replica-0", ...
	Replica bool
}

// Trace returns a context that records where a statement ran into the Route.
// Read it after the statement.
func Trace(ctx context.Context) (context.Context, *Route) {
	s := &Span{Context: orEmpty(ctx), outer: spanOf(ctx)}
	return s, &s.Route
}
