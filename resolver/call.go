package resolver

import "context"

// call is what the layers above tell the virtual connection about one
// statement, in the statement's context.
type call struct {
	context.Context
	read bool  // may run on a replica
	fail error // must not run, with this error
}

type callKey struct{}

// Value implements context.Context.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// Refuse returns a context whose statements fail with err in the connection,
// for callers that have no other way to hand an error on: a sql.Row.
func Refuse(ctx context.Context, err error) context.Context {
	return &call{Context: orEmpty(ctx), fail: err}
}

type primaryKey struct{}

// Primary returns a context whose reads run on the primary: for code that
// cannot say dbresolver.Write.
func Primary(ctx context.Context) context.Context {
	return context.WithValue(orEmpty(ctx), primaryKey{}, true)
}

func wantsPrimary(ctx context.Context) bool { return ctx.Value(primaryKey{}) != nil }

type systemKey struct{}

// system marks the Router's own statements, which run outside every tenant.
func system(ctx context.Context) context.Context {
	return context.WithValue(ctx, systemKey{}, true)
}

func isSystem(ctx context.Context) bool { return ctx.Value(systemKey{}) != nil }
