package tenant

import "context"

type (
	scopeKey     struct{}
	admissionKey struct{}
)

// scope is what a context says about the tenant. It is stored by pointer, so
// that reading it allocates nothing.
type scope struct {
	id      ID
	shared  bool
	err     error
	version int64 // of RequireVersion
	needs   bool  // whether it was said
}

// NewContext returns a context in which statements run as tenant id. An id
// that ParseID refuses makes every such statement fail with that error.
// A tenant that ctx named before is replaced.
func NewContext(ctx context.Context, id ID) context.Context {
	s := inherit(ctx)
	s.id, s.err = ParseID(string(id))
	return context.WithValue(orEmpty(ctx), scopeKey{}, s)
}

// inherit returns a new scope that keeps what ctx's says beside the tenant.
func inherit(ctx context.Context) *scope {
	if old := scopeOf(ctx); old != nil {
		return &scope{version: old.version, needs: old.needs}
	}
	return &scope{}
}

// Shared returns a context in which statements run, on purpose, in the shared
// schema instead of a tenant's.
func Shared(ctx context.Context) context.Context {
	s := inherit(ctx)
	s.shared = true
	return context.WithValue(orEmpty(ctx), scopeKey{}, s)
}

// RequireVersion returns a context in which the statements of a tenant whose schema
// has not reached a version of the migrations (Tenant.Version) fail with ErrVersion.
// It goes before the plugin's own option; 0 lifts both. The tenant may be named before
// or after. Shared statements have no version.
func RequireVersion(ctx context.Context, version int64) context.Context {
	s := &scope{err: ErrNone}
	if old := scopeOf(ctx); old != nil {
		*s = *old
	}
	s.version, s.needs = version, true
	return context.WithValue(orEmpty(ctx), scopeKey{}, s)
}

// FromContext returns the tenant of ctx. The error is ErrNone if there is
// none (a Shared context has none either), or wraps ErrInvalidID.
func FromContext(ctx context.Context) (ID, error) {
	id, _, err := Demand(ctx, 0)
	return id, err
}

// Demand returns what FromContext does, and the version that the tenant's schema must
// have reached: that of RequireVersion, or else byDefault.
func Demand(ctx context.Context, byDefault int64) (ID, int64, error) {
	s := scopeOf(ctx)
	if s == nil || s.shared {
		return "", 0, ErrNone
	}
	if s.needs {
		byDefault = s.version
	}
	return s.id, byDefault, s.err
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
