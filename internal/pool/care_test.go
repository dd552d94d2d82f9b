package pool_test

import (
	"bytes"
	"database/sql/driver"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/pool"
)

// Sweep closes what idles for too long, and what is too old although it idles, down
// to none, and leaves alone what is in use.
func TestSweep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := new(server).pool(t, "s1", pool.Config{MaxAge: time.Hour, MaxIdle: 10 * time.Minute})
		forever := new(server).pool(t, "s2", pool.Config{MaxIdle: -1, MaxAge: time.Hour})
		held, early, late := n.acquire(t, "a"), n.acquire(t, "a"), n.acquire(t, "b")
		forever.acquire(t, "a").Release()
		early.Release()
		time.Sleep(9 * time.Minute)
		late.Release()
		if got := n.Stats(); got.OldestIdle != 9*time.Minute || got.OldestConn != 9*time.Minute {
			t.Errorf("%+v", got)
		}
		if n.Sweep(time.Now().Add(time.Minute)) != 0 {
			t.Error("closed a connection without a reason")
		}
		time.Sleep(time.Minute + 1)
		if n.Sweep(time.Now()) != 1 {
			t.Error("did not close what idles for ten minutes")
		}
		for range 12 {
			time.Sleep(5 * time.Minute)
			n.acquire(t, "a").Release() // never idle for long
		}
		if got := n.Stats(); got.RetiredAge != 1 || got.RetiredIdle != 1 || got.Open != 2 {
			t.Errorf("%+v", got)
		}
		if forever.Sweep(time.Now().Add(-11*time.Minute)) != 0 || forever.Sweep(time.Now()) != 1 {
			t.Error("MaxIdle -1 and MaxAge do not keep to what they say")
		}
		held.Release()
		n.Sweep(time.Now().Add(2 * time.Hour))
		if got := n.Stats(); got.Open != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// Tenants that connections have touched are told.
func TestTenantsTouched(t *testing.T) {
	t.Parallel()
	n := new(server).pool(t, "s1", pool.Config{})
	one, two := n.acquire(t, "a"), n.acquire(t, "a")
	one.Touch("b")
	one.Touch("c")
	if got := n.Stats(); got.MostTenants != 3 || got.Tenants != 4 || got.InUse() != 2 {
		t.Errorf("%+v", got)
	}
	one.Release()
	two.Release()
}

func logger() (*slog.Logger, *bytes.Buffer) {
	var out bytes.Buffer
	return slog.New(slog.NewTextHandler(&out, nil)), &out
}

// Who holds a connection for long is reported once for each holding, by the line that
// asked for it.
func TestLeaks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, out := logger()
		n := new(server).pool(t, "s1", pool.Config{LeakAfter: time.Second, Logger: log})
		c := n.acquire(t, "a")
		quick := n.acquire(t, "b")
		if _, err := c.BeginTx(t.Context(), driver.TxOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		n.ReportLeaks(time.Now())
		if len(n.Leaks(time.Now())) != 0 || out.Len() != 0 {
			t.Error("reported too early")
		}
		quick.Release()
		time.Sleep(time.Nanosecond)
		n.ReportLeaks(time.Now())
		n.ReportLeaks(time.Now())
		got := n.Leaks(time.Now())
		if len(got) != 1 || got[0].Owner != "a" || !got[0].InTx || !strings.Contains(got[0].Caller, "main_test.go:") {
			t.Errorf("%+v", got)
		}
		if text := out.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "in_transaction=true") || !strings.Contains(text, "tenant=a") {
			t.Errorf("logged %s", text)
		}
		c.Release()
		if len(n.Leaks(time.Now())) != 0 || n.Stats().Leaks != 1 {
			t.Error("given back, and a leak still")
		}
		c = n.acquire(t, "a")
		tx, err := c.BeginTx(t.Context(), driver.TxOptions{})
		if err != nil || tx.Commit() != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if got := n.Leaks(time.Now()); len(got) != 1 || got[0].InTx {
			t.Errorf("%+v", got)
		}
		c.Release()
	})
}

// Acquires that wait for long are logged, once in ten seconds.
func TestSlowAcquires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, out := logger()
		n := new(server).pool(t, "s1", pool.Config{MaxConns: 1, SlowAcquire: time.Second, Logger: log})
		for i, hold := range []time.Duration{time.Second, 2 * time.Second, 2 * time.Second, 11 * time.Second} {
			held := n.acquire(t, "a")
			served := make(chan turn, 1)
			go func() {
				c, _ := n.Acquire(t.Context(), pool.Claim{Owner: "b"})
				served <- turn{"b", c}
			}()
			synctest.Wait()
			time.Sleep(hold)
			held.Release()
			(<-served).c.Release()
			if lines, want := strings.Count(out.String(), "\n"), []int{0, 1, 1, 2}[i]; lines != want {
				t.Fatalf("%d lines after number %d, want %d: %s", lines, i, want, out)
			}
		}
		if text := out.String(); !strings.Contains(text, "suppressed=1") || !strings.Contains(text, "waited=11s") || n.Stats().Slow != 3 {
			t.Error(text)
		}
	})
}
