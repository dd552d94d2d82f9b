package rediscache

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/registry"
)

const password = "s3cr3t-p4ssw0rd"

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m, goleak.Find)) }

// process is a Cache as a registry would use it.
type process struct {
	*Cache
	mu    sync.Mutex
	heard []string
}

func (p *process) announced() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.heard, " ")
}

// start opens a cache at url, with time enough for a busy machine.
func start(t testing.TB, url string, opts ...Option) *process {
	t.Helper()
	opts = append([]Option{Timeout(2 * time.Second), Cooldown(time.Millisecond)}, opts...)
	p := &process{Cache: New(url, opts...)}
	err := p.Open(t.Context(), registry.CacheConfig{
		Namespace: "tenancy:0123:1", TTL: time.Minute, Lease: 6 * time.Second, Logger: slog.New(slog.DiscardHandler),
		Heard: func(key string) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.heard = append(p.heard, key)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// used waits until p uses Redis.
func (p *process) used(t testing.TB) *process {
	t.Helper()
	eventually(t, "closed breaker", func() bool { return p.Stats().Breaker == "closed" })
	return p
}

// told waits until Redis was told all that p knows.
func (p *process) told(t testing.TB) {
	t.Helper()
	eventually(t, "all told", func() bool { b := p.untold.next(); return !b.all && len(b.keys) == 0 })
}

// keep stores value for key.
func (p *process) keep(t testing.TB, key, value string) {
	t.Helper()
	p.offerNow(t, key, p.lease(t, key), value)
	if got := p.value(t, key); got != value {
		t.Fatalf("%s is %q after Put(%q)", key, got, value)
	}
}

// offerNow puts a value, and waits until it is decided on.
func (p *process) offerNow(t testing.TB, key, lease, value string) {
	t.Helper()
	before := p.Stats()
	p.Put(key, lease, []byte(value))
	eventually(t, "decision on "+key, func() bool {
		st := p.Stats()
		return st.Stored+st.Refused > before.Stored+before.Refused
	})
}

func (p *process) lease(t testing.TB, key string) string {
	t.Helper()
	got := p.Get(t.Context(), key)
	if got.Lease == "" || got.Value != nil {
		t.Fatalf("%s: %q, lease %q, breaker %s: want a lease", key, got.Value, got.Lease, p.Stats().Breaker)
	}
	return got.Lease
}

func (p *process) value(t testing.TB, key string) string {
	t.Helper()
	return string(p.Get(t.Context(), key).Value)
}

// eventually polls until ok, and fails the test after a deadline.
func eventually(t testing.TB, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("%s: not within 20 s", what)
		}
		<-tick.C
	}
	return time.Since(begin)
}

func server(t testing.TB) *miniredis.Miniredis {
	t.Helper()
	return miniredis.RunT(t)
}

func url(s *miniredis.Miniredis) string { return "redis://" + s.Addr() }

func background() context.Context { return context.Background() }
