package redislimit

import (
	"log/slog"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start returns a limiter that ends with the test, with time enough for a busy
// machine, once it uses Redis.
func start(t testing.TB, url string, opts ...Option) *Limiter {
	t.Helper()
	opts = append([]Option{Timeout(2 * time.Second), Cooldown(time.Millisecond), Logger(slog.New(slog.DiscardHandler))}, opts...)
	l := New(url, opts...)
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Stop)
	return l
}

func (l *Limiter) used(t testing.TB) *Limiter {
	t.Helper()
	eventually(t, "closed breaker", func() bool { return l.Stats().Up })
	return l
}

// eventually polls until ok, and fails the test after a deadline.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
		<-tick.C
	}
}

func server(t testing.TB) *miniredis.Miniredis {
	t.Helper()
	return miniredis.RunT(t)
}

func url(s *miniredis.Miniredis) string { return "redis://" + s.Addr() }

// take takes tokens of rate 10, burst 20, or fails.
func (l *Limiter) takeTen(t testing.TB, n int) (int, time.Duration) {
	t.Helper()
	got, retry, err := l.Take(t.Context(), "statements:acme", 10, 20, n)
	if err != nil {
		t.Fatal(err)
	}
	return got, retry
}
