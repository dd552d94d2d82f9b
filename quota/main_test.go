package quota

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is a policy that a test changes.
type source struct {
	mu     sync.Mutex
	policy Policy
	fail   error
	reads  int
	fns    map[int]func()
}

func (s *source) Policy(context.Context) (Policy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	return s.policy, s.fail
}

func (s *source) OnPolicyChange(fn func()) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fns == nil {
		s.fns = map[int]func(){}
	}
	n := len(s.fns)
	s.fns[n] = fn
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.fns, n)
	}
}

// set changes what is read, without notice.
func (s *source) set(p Policy, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policy, s.fail = p, err
}

// tell gives notice.
func (s *source) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fn := range s.fns {
		fn()
	}
}

// all is a policy of the same limits for everybody.
func all(l Limits) Policy { return Policy{Tiers: map[tenant.Tier]Limits{TierAny: l}} }

// start returns a governor of p that ends with the test.
func start(t testing.TB, p Policy, change ...func(*Config)) (*Governor, *source) {
	t.Helper()
	s := &source{policy: p}
	cfg := Config{Source: s, Logger: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&cfg)
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Stop)
	return g, s
}

// change puts a policy in force.
func change(t testing.TB, g *Governor, s *source, p Policy) {
	t.Helper()
	s.set(p, nil)
	if err := g.read(t.Context()); err != nil {
		t.Fatal(err)
	}
}

var acme = &tenant.Tenant{ID: "acme", Tier: "standard"}

// limited returns err's LimitError, or fails.
func limited(t testing.TB, err error, limit string) *LimitError {
	t.Helper()
	var l *LimitError
	if !errors.As(err, &l) || !errors.Is(err, tenant.ErrLimited) || l.Limit != limit || l.RetryAfter <= 0 {
		t.Fatalf("%v: want a refusal by %s with a time to wait", err, limit)
	}
	return l
}
