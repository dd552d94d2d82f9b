package rediscache

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pgtest"
	"github.com/gormtenancy/gormtenancy/registry"
)

func TestShared(t *testing.T) {
	t.Parallel()
	s := server(t)
	a, b := start(t, url(s)).used(t), start(t, url(s)).used(t)
	a.keep(t, "t:acme", "one")
	got := b.Get(t.Context(), "t:acme")
	if string(got.Value) != "one" || got.Lease != "" || got.Left <= 50*time.Second || got.Left > time.Minute {
		t.Errorf("%+v", got)
	}
	// A lease serves all who ask meanwhile, and the first answer is taken.
	x, y := a.lease(t, "t:globex"), b.lease(t, "t:globex")
	b.offerNow(t, "t:globex", y, "b's")
	a.offerNow(t, "t:globex", x, "a's")
	if got := a.value(t, "t:globex"); got != "b's" || a.Stats().Refused != 1 {
		t.Errorf("%q, %+v", got, a.Stats())
	}
	// A lease that was given back leaves nothing.
	a.Put("t:nobody", a.lease(t, "t:nobody"), nil)
	eventually(t, "lease given back", func() bool { return !s.Exists(a.keys.entries + "t:nobody") })
}

// TestLateAnswer: an answer that was asked for before a change is not taken
// after it, however Redis came to forget the lease.
func TestLateAnswer(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, a, b *process){
		"own change":      func(t *testing.T, a, _ *process) { a.Invalidate("t:acme", true); a.told(t) },
		"other's change":  func(t *testing.T, _, b *process) { b.Invalidate("t:acme", true); b.told(t) },
		"heard change":    func(t *testing.T, _, b *process) { b.Invalidate("t:acme", false); b.told(t) },
		"flush":           func(t *testing.T, a, _ *process) { a.Flush(); a.told(t) },
		"other's flush":   func(t *testing.T, _, b *process) { b.Flush(); b.told(t) },
		"FLUSHALL":        func(t *testing.T, a, _ *process) { a.client.FlushAll(background()) },
		"lost generation": func(t *testing.T, a, _ *process) { a.client.Del(background(), a.keys.generation) },
	} {
		for _, asked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/asked again %t", name, asked), func(t *testing.T) {
				t.Parallel()
				s := server(t)
				a, b := start(t, url(s)).used(t), start(t, url(s)).used(t)
				lease := a.lease(t, "t:acme")
				change(t, a, b)
				if asked {
					b.lease(t, "t:acme")
				}
				a.offerNow(t, "t:acme", lease, "old")
				if got := b.value(t, "t:acme"); got != "" {
					t.Errorf("%q is believed", got)
				}
			})
		}
	}
}

// TestForgotten: what was stored before a change is not believed after it.
func TestForgotten(t *testing.T) {
	t.Parallel()
	s := server(t)
	a, b := start(t, url(s)).used(t), start(t, url(s)).used(t)
	for i, change := range []func(){
		func() { b.Invalidate("t:acme", true); b.told(t) },
		func() { b.Flush(); b.told(t) },
	} {
		a.keep(t, "t:acme", "old")
		change()
		if got := a.value(t, "t:acme"); got != "" {
			t.Errorf("change %d: %q is believed", i, got)
		}
	}
	eventually(t, "announcement", func() bool { return a.announced() == "t:acme" })
	if got := b.announced(); got != "" {
		t.Errorf("heard of its own: %s", got)
	}
}

// TestUntold: until Redis was told to forget a key, it is not asked about it.
func TestUntold(t *testing.T) {
	t.Parallel()
	a := start(t, url(server(t))).used(t)
	a.keep(t, "t:acme", "old")
	a.keep(t, "t:globex", "old")
	// What the loop that tells Redis would do, step by step.
	a.untold.mu.Lock()
	a.untold.last++
	a.untold.keys["t:acme"] = entry{n: a.untold.last}
	a.untold.mu.Unlock()
	if got := a.Get(t.Context(), "t:acme"); got.Value != nil || got.Lease != "" {
		t.Errorf("%+v", got)
	}
	if got := a.value(t, "t:globex"); got != "old" {
		t.Errorf("another key: %q", got)
	}
	b := a.untold.next()
	a.untold.add("t:acme", false)
	a.untold.told(b)
	a.told(t)
	if got := a.value(t, "t:acme"); got != "" {
		t.Errorf("%q is believed", got)
	}
}

// TestTooMuchUntold: what cannot be kept key by key becomes all keys.
func TestTooMuchUntold(t *testing.T) {
	t.Parallel()
	l := newLedger()
	for i := range maxUntold {
		l.add(fmt.Sprint("t:", i), false)
	}
	l.add("t:0", true)
	if b := l.next(); b.all || len(b.keys) != maxUntold {
		t.Errorf("all %t, %d keys", b.all, len(b.keys))
	}
	l.add("t:acme", false)
	if b := l.next(); !b.all || len(b.keys) != 0 || !l.holds("t:0") {
		t.Errorf("all %t, %d keys", b.all, len(b.keys))
	}
}

func TestLedgerKeepsWhatCameMeanwhile(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.add("x", true)
	b := l.next()
	l.add("x", false)
	l.addAll()
	l.told(b)
	if b := l.next(); !b.all || len(b.keys) != 1 || b.keys["x"] != true {
		t.Errorf("%+v", b)
	}
}

// TestLife: a value's life is counted from the lease, and by Redis.
func TestLife(t *testing.T) {
	t.Parallel()
	s := server(t)
	a := start(t, url(s)).used(t)
	lease := a.lease(t, "t:acme")
	s.FastForward(4 * time.Second)
	a.offerNow(t, "t:acme", lease, "one")
	if got := a.Get(t.Context(), "t:acme").Left; got <= 50*time.Second || got > 56*time.Second {
		t.Errorf("%s are left", got)
	}
	s.FastForward(56 * time.Second)
	lease = a.lease(t, "t:acme")
	s.FastForward(6 * time.Second)
	a.offerNow(t, "t:acme", lease, "two")
	if got := a.value(t, "t:acme"); got != "" {
		t.Errorf("%q came later than the lease ended", got)
	}
}

// TestDown: while Redis is down nothing is asked; when it is back, what it held
// before is not believed, and what is told from then on is.
func TestDown(t *testing.T) {
	t.Parallel()
	s := server(t)
	a, b := start(t, url(s)).used(t), start(t, url(s)).used(t)
	a.keep(t, "t:acme", "old")
	s.Close()
	eventually(t, "open breaker", func() bool { return a.Stats().Breaker != "closed" && b.Stats().Breaker != "closed" })
	skips := a.Stats().Skips
	begin := time.Now()
	for range 1000 {
		if got := a.Get(t.Context(), "t:acme"); got.Value != nil || got.Lease != "" {
			t.Fatalf("%+v", got)
		}
	}
	t.Logf("1000 questions while it is down: %s", time.Since(begin))
	a.Put("t:acme", "lease", []byte("x"))
	if st := a.Stats(); st.Skips-skips != 1000 || st.Dropped != 1 || st.Opened == 0 {
		t.Errorf("%+v", st)
	}
	a.Invalidate("t:acme", true)
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if !s.Exists(a.keys.entries + "t:acme") {
		t.Fatal("the server has lost its values: the test proves nothing")
	}
	a.used(t).told(t)
	if got := b.used(t).value(t, "t:acme"); got != "" {
		t.Errorf("%q is believed", got)
	}
	b.keep(t, "t:acme", "new")
}

// TestRefusing: a server that answers with errors is left alone.
func TestRefusing(t *testing.T) {
	t.Parallel()
	s := server(t)
	a := start(t, url(s), Cooldown(time.Hour)).used(t)
	s.SetError("LOADING Redis is loading the dataset in memory")
	for range failuresToOpen {
		if a.Stats().Breaker != "closed" {
			t.Error("opened too early")
		}
		a.Get(t.Context(), "t:acme")
	}
	eventually(t, "open breaker", func() bool { return a.Stats().Breaker == "open" })
	if n := a.Stats().Errors; n != failuresToOpen {
		t.Errorf("%d errors", n)
	}
}

// TestGenerationFails: as long as no new generation can be begun, Redis is not
// used again.
func TestGenerationFails(t *testing.T) {
	t.Parallel()
	s := server(t)
	a := start(t, url(s)).used(t)
	a.keep(t, "t:acme", "old")
	s.SetError("READONLY You can't write against a read only replica.")
	a.Invalidate("t:acme", false)
	eventually(t, "trials in vain", func() bool { return a.Stats().Opened > 2 })
	if got := a.Get(t.Context(), "t:acme"); got.Value != nil || got.Lease != "" {
		t.Errorf("%+v", got)
	}
	s.SetError("")
	if got := a.used(t).value(t, "t:acme"); got != "" {
		t.Errorf("%q is believed", got)
	}
}

func TestBoundedPuts(t *testing.T) {
	t.Parallel()
	c := New("redis://127.0.0.1:1")
	c.session.Store(&session{})
	for range maxPuts + 7 {
		c.Put("t:acme", "lease", nil)
	}
	if n := c.Stats().Dropped; n != 7 {
		t.Errorf("%d dropped", n)
	}
}

func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Any(t).Database(t)
	used := New("redis://127.0.0.1:1")
	r, err := registry.Open(t.Context(), registry.Config{DSN: dsn, Cache: used})
	if err != nil {
		t.Fatalf("a server that cannot be reached: %v", err)
	}
	defer r.Close()
	for what, c := range map[string]*Cache{
		"scheme":   New("http://u:" + password + "@h"),
		"unparsed": New("redis://u:" + password + "@h:99999999/%zz"),
		"words":    New(password),
		"empty":    New(""),
		"timeout":  New("redis://127.0.0.1:1", Timeout(-1)),
		"prefix":   New("redis://127.0.0.1:1", Prefix("")),
		"brace":    New("redis://127.0.0.1:1", Prefix("a}")),
		"in use":   used,
	} {
		r, err := registry.Open(t.Context(), registry.Config{DSN: dsn, Cache: c})
		if err == nil {
			r.Close()
			t.Errorf("%s: no error", what)
			continue
		}
		if strings.Contains(err.Error(), password) || errors.Unwrap(err) == nil || !strings.Contains(err.Error(), "Config.Cache") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
