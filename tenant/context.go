package tenant

import "context"

type (
	scopeKey     struct{}
	admissionKey struct{}
)

// scope is what a context says about the tenant. It is stored by pointer, so
// that reading it allocates nothing.
type scope struct {
	id     ID
	shared bool
	err    error
}

// NewContext returns a context in which statements run as tenant id. An id
// that ParseID refuses makes every such statement fail with that error.
// A tenant that ctx named before is replaced.
func NewContext(ctx context.Context, id ID) context.Context {
	s := &scope{}
	s.id, s.err = ParseID(string(id))
	return context.WithValue(orEmpty(ctx), scopeKey{}, s)
}

// Shared returns a context in which statements run, on purpose, in the shared
// schema instead of a tenant's.
func Shared(ctx context.Context) context.Context {
	return context.WithValue(orEmpty(ctx), scopeKey{}, &scope{shared: true})
}

// FromContext returns the tenant of ctx. The error is ErrNone if there is
// none (a Shared context has none either), or wraps ErrInvalidID.
func FromContext(ctx context.Context) (ID, error) {
	if s := scopeOf(ctx); s != nil && !s.shared {
		return s.id, s.err
	}
	return "", ErrNone
}

// IsShared reports whether ctx was made by Shared, and no tenant named since.
func IsShared(ctx context.Context) bool {
	s := scopeOf(ctx)
	return s != nil && s.shared
}

func scopeOf(ctx context.Context) *scope {
	if ctx == nil {
		return nil
	}
	s, _ := ctx.Value(scopeKey{}).(*scope)
	return s
}

// Admission lists states in which a tenant's statements may run beside those
// that always serve.
type Admission struct{ states []State }

func (a Admission) allows(s State) bool {
	for _, x := range a.states {
		if x == s {
			return true
		}
	}
	return false
}

// Admit returns a context in which statements run although the tenant is in
// one of the given states: for provisioning, exports and repairs.
func Admit(ctx context.Context, states ...State) context.Context {
	return context.WithValue(orEmpty(ctx), admissionKey{}, Admission{states})
}

// orEmpty spares a caller that passes a nil context the panic of
// context.WithValue.
func orEmpty(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

// AdmissionOf returns what Admit put into ctx.
func AdmissionOf(ctx context.Context) Admission {
	if ctx == nil {
		return Admission{}
	}
	a, _ := ctx.Value(admissionKey{}).(Admission)
	return a
}
