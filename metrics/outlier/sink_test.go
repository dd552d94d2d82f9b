package outlier

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var event = Event{Tenant: "acme", Shard: "s1", Cause: CauseRows, Phase: Opened, Magnitude: 7, Query: Query{Fingerprint: 1 << 63, Text: "select ?"}}

// hook starts a webhook to a server that answers by its answers in turn, the last one
// for ever.
func hook(t *testing.T, cfg WebhookConfig, answers ...int) (*Webhook, *atomic.Int64, *bytes.Buffer) {
	t.Helper()
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		var got map[string]any
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil || got["tenant"] != "acme" || got["cause"] != "rows" || got["phase"] != "opened" {
			t.Errorf("%v, %v", got, err)
		}
		if r.Header.Get("Authorization") != "secret" {
			t.Error("the header is missing")
		}
		w.Header().Set("Location", "http://127.0.0.1:1/")
		w.WriteHeader(answers[min(int(n), len(answers))-1])
	}))
	t.Cleanup(s.Close)
	var said bytes.Buffer
	cfg.URL, cfg.Header = s.URL+"/secretpath", http.Header{"Authorization": {"secret"}}
	cfg.Backoff, cfg.Logger = time.Millisecond, slog.New(slog.NewTextHandler(&said, nil))
	w, err := NewWebhook(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w, &asked, &said
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers      []int
		asked        int64
		sent, failed uint64
	}{
		"at once":         {[]int{204}, 1, 1, 0},
		"after failures":  {[]int{500, 429, 200}, 3, 1, 0},
		"given up":        {[]int{503}, 4, 0, 1},
		"refused":         {[]int{403}, 1, 0, 1},
		"to another host": {[]int{307}, 1, 0, 1},
	} {
		w, asked, said := hook(t, WebhookConfig{Attempts: 4}, c.answers...)
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.Emit(t.Context(), event)
		for end := time.Now().Add(10 * time.Second); ; {
			sent, failed, _ := w.Counts()
			if sent+failed == 1 || time.Now().After(end) {
				break
			}
		}
		w.Stop()
		sent, failed, dropped := w.Counts()
		if asked.Load() != c.asked || sent != c.sent || failed != c.failed || dropped != 0 {
			t.Errorf("%s: asked %d times, sent %d, failed %d, dropped %d", name, asked.Load(), sent, failed, dropped)
		}
		if strings.Contains(said.String(), "secret") || failed > 0 != strings.Contains(said.String(), "acme") {
			t.Errorf("%s: %s", name, said)
		}
	}
}

func TestWebhookDropsWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	w, _, _ := hook(t, WebhookConfig{Queue: 2}, 200)
	for range 5 {
		w.Emit(t.Context(), event)
	}
	if _, _, dropped := w.Counts(); dropped != 3 {
		t.Errorf("%d were dropped", dropped)
	}
	for _, bad := range []string{"", "ftp://u:secret@h/", "://secret"} {
		if _, err := NewWebhook(WebhookConfig{URL: bad}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestChannelAndLog(t *testing.T) {
	t.Parallel()
	ch := make(chan Event, 1)
	c := &Channel{C: ch}
	c.Emit(t.Context(), event)
	c.Emit(t.Context(), event)
	if c.Dropped() != 1 || (<-ch).Tenant != "acme" {
		t.Errorf("%d were dropped", c.Dropped())
	}
	var said bytes.Buffer
	Log{slog.New(slog.NewTextHandler(&said, nil))}.Emit(t.Context(), event)
	if !strings.Contains(said.String(), "level=WARN") || !strings.Contains(said.String(), "cause=rows") {
		t.Error(said.String())
	}
}

// A server that does not answer takes Timeout, not for ever, and Stop waits for no
// attempt and no pause.
func TestWebhookDoesNotHang(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 10)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not see who hangs up
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	var said bytes.Buffer
	for _, timeout := range []time.Duration{50 * time.Millisecond, time.Hour} {
		w, err := NewWebhook(WebhookConfig{
			URL: strings.Replace(s.URL, "//", "//user:secret@", 1), Timeout: timeout, Backoff: time.Millisecond, Attempts: 2,
			Logger: slog.New(slog.NewTextHandler(&said, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.Emit(t.Context(), event)
		<-asked
		if timeout < time.Hour {
			<-asked
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
				if _, failed, _ := w.Counts(); failed == 1 {
					break
				}
			}
		}
		w.Stop()
		sent, failed, _ := w.Counts()
		if sent != 0 || timeout < time.Hour && failed != 1 {
			t.Errorf("timeout %s: sent %d, failed %d", timeout, sent, failed)
		}
	}
	if strings.Contains(said.String(), "secret") || !strings.Contains(said.String(), "acme") {
		t.Error(said.String())
	}
}
