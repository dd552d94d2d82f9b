package redislimit

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestTake(t *testing.T) {
	t.Parallel()
	s := server(t)
	now := time.Now().Truncate(time.Second)
	s.SetTime(now)
	l := start(t, url(s)).used(t)
	for _, step := range []struct {
		pass  time.Duration
		n     int
		got   int
		retry time.Duration // 0: any
	}{
		{0, 7, 7, 0},
		{0, 100, 13, 100 * time.Millisecond},
		{0, 1, 0, 100 * time.Millisecond},
		{50 * time.Millisecond, 5, 0, 50 * time.Millisecond},
		{200 * time.Millisecond, 5, 2, 50 * time.Millisecond}, // half a token stays
		{50 * time.Millisecond, 1, 1, 0},
		{time.Hour, 30, 20, 0}, // no more than the burst
	} {
		now = now.Add(step.pass)
		s.SetTime(now)
		got, retry := l.takeTen(t, step.n)
		if diff := (retry - step.retry).Abs(); got != step.got || step.retry > 0 && diff > time.Millisecond {
			t.Errorf("%d after %s: %d, the next in %s; want %d, %s", step.n, step.pass, got, retry, step.got, step.retry)
		}
	}
	for _, key := range s.Keys() {
		if key != "rate:gormtenancy:statements:acme" && key != "rate:gormtenancy:trial" {
			t.Errorf("key %q", key)
		}
	}
	if st := l.Stats(); st.Taken != 43 || st.Errors != 0 || st.Opened != 0 {
		t.Errorf("%+v", st)
	}
	if _, _, err := l.Take(t.Context(), "x", 0, 1, 1); err == nil {
		t.Error("no rate is taken")
	}
}

// Rates need not be whole, and nothing of them is lost in small portions.
func TestFractions(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0.3, 1, 7.7, 33, 1234.5} {
		s := server(t)
		now := time.Now().Truncate(time.Second)
		s.SetTime(now)
		l := start(t, url(s)).used(t)
		taken, burst := 0, max(3, int(rate))
		step := time.Duration(0.37 / rate * 1e9)
		for range 1000 {
			got, _, err := l.Take(t.Context(), "k", rate, burst, 3)
			if err != nil {
				t.Fatal(err)
			}
			taken += got
			now = now.Add(step)
			s.SetTime(now)
		}
		want := float64(burst) + 370
		if r := float64(taken) / want; r < 0.99 || r > 1.01 {
			t.Errorf("rate %g: %d tokens, want %.0f", rate, taken, want)
		}
	}
}

func TestAway(t *testing.T) {
	t.Parallel()
	s := server(t)
	l := start(t, url(s)).used(t)
	l.takeTen(t, 20)
	s.Close()
	for range failuresToOpen {
		if _, _, err := l.Take(t.Context(), "k", 1, 1, 1); err == nil || errors.Is(err, ErrAway) {
			t.Errorf("before the breaker opens: %v", err)
		}
	}
	if _, _, err := l.Take(t.Context(), "k", 1, 1, 1); !errors.Is(err, ErrAway) {
		t.Errorf("the breaker is closed: %v", err)
	}
	if st := l.Stats(); st.Up || st.Opened != 1 || st.Errors != 3 || st.Skips != 1 {
		t.Errorf("%+v", st)
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	l.used(t)
	if got, _ := l.takeTen(t, 20); got > 1 {
		t.Errorf("%d tokens after a restart that lost nothing", got)
	}
	s.SetError("READONLY You can't write against a read only replica.")
	for range failuresToOpen {
		_, _, _ = l.Take(t.Context(), "k", 1, 1, 1)
	}
	if l.Stats().Opened != 2 {
		t.Error("a server that refuses is still asked")
	}
	s.SetError("")
	l.used(t)
}

// A hiccup that fails many questions at the same time is one failure.
func TestHiccup(t *testing.T) {
	t.Parallel()
	s := server(t)
	l := start(t, url(s), Cooldown(time.Hour)).used(t)
	begin := time.Now()
	for range 100 {
		l.failed(begin, errors.New("too late"))
	}
	if st := l.Stats(); !st.Up || st.Errors != 100 {
		t.Errorf("%+v", st)
	}
	for range failuresToOpen - 1 {
		l.failed(time.Now(), errors.New("too late"))
	}
	if l.Stats().Up {
		t.Error("three in a row, and the breaker is closed")
	}
}

func TestManyTake(t *testing.T) {
	t.Parallel()
	s := server(t)
	s.SetTime(time.Now())
	limiters := []*Limiter{start(t, url(s)).used(t), start(t, url(s)).used(t)}
	var mu sync.Mutex
	var wg sync.WaitGroup
	sum := 0
	for i := range 40 {
		wg.Go(func() {
			got, _, err := limiters[i%2].Take(t.Context(), "k", 10, 100, 3)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			sum += got
		})
	}
	wg.Wait()
	if sum > 100 || sum < 99 {
		t.Errorf("%d tokens of a burst of 100", sum)
	}
}

func TestBadArguments(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]*Limiter{
		"url":     New("http://:s3cr3t@host"),
		"timeout": New("redis://:s3cr3t@host", Timeout(0)),
		"prefix":  New("redis://:s3cr3t@host", Prefix("")),
	} {
		if err := l.Start(t.Context()); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := l.Take(t.Context(), "k", 1, 1, 1); !errors.Is(err, ErrAway) {
			t.Errorf("%s: %v", name, err)
		}
		l.Stop()
		l.Stop()
	}
}

// lines is a log.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// Nobody learns the password from the log.
func TestNoPasswordInTheLog(t *testing.T) {
	t.Parallel()
	log := make(lines, 1000)
	start(t, "redis://user:s3cr3t@127.0.0.1:1/0", Logger(slog.New(slog.NewTextHandler(log, nil))), Cooldown(time.Hour))
	if line := <-log; strings.Contains(line, "s3cr3t") || !strings.Contains(line, "retry_in") {
		t.Errorf("the log: %s", line)
	}
}
