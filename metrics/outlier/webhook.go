package outlier

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/service"
)

// Webhook posts each event to a URL as a JSON document. It tries again, with growing
// pauses, until the other side answers 2xx or has refused for good (4xx but 408 and 429).
// Events wait in a queue meanwhile; beyond its bound they are dropped, and counted. Start
// and Stop it.
type Webhook struct {
	cfg    WebhookConfig
	queue  chan Event
	client *http.Client
	loops  service.Group

	sent, failed, dropped atomic.Uint64
}

// WebhookConfig describes a Webhook. URL is required.
type WebhookConfig struct {
	// URL is http or https. What is secret in it appears in no log.
	URL string
	// Header is sent along, for authentication.
	Header http.Header
	// Timeout bounds each attempt (default 5 s), Attempts their number (default 6), and
	// Backoff is the pause after the first, doubled each time up to a minute (default 1 s).
	Timeout, Backoff time.Duration
	Attempts         int
	// Queue is how many events may wait. Default 1,000.
	Queue int
	// Logger gets what could not be delivered. Default slog.Default.
	Logger *slog.Logger
}

// NewWebhook returns a Webhook that was not started.
func NewWebhook(cfg WebhookConfig) (*Webhook, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("outlier: want an http or https URL for the webhook") // it may hold a secret
	}
	if cfg.Timeout < 0 || cfg.Backoff < 0 || cfg.Attempts < 0 || cfg.Queue < 0 {
		return nil, errors.New("outlier: a webhook's numbers cannot be negative: leave them out for the defaults")
	}
	set(&cfg.Timeout, 5*time.Second)
	set(&cfg.Backoff, time.Second)
	set(&cfg.Attempts, 6)
	set(&cfg.Queue, 1000)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Webhook{cfg: cfg, queue: make(chan Event, cfg.Queue), client: &http.Client{
		// A header with a secret goes nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Emit implements Sink.
func (w *Webhook) Emit(_ context.Context, e Event) {
	select {
	case w.queue <- e:
	default:
		w.dropped.Add(1)
	}
}

// Counts returns how many events were delivered, given up, and dropped because the queue
// was full.
func (w *Webhook) Counts() (sent, failed, dropped uint64) {
	return w.sent.Load(), w.failed.Load(), w.dropped.Load()
}

// Start begins to deliver.
func (w *Webhook) Start(ctx context.Context) error { return w.loops.Start(ctx, w.run) }

// Stop ends that. What waits is not delivered.
func (w *Webhook) Stop() {
	w.loops.Stop()
	w.client.CloseIdleConnections()
}

func (w *Webhook) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.queue:
			w.deliver(ctx, e)
		}
	}
}

func (w *Webhook) deliver(ctx context.Context, e Event) {
	body, err := json.Marshal(e)
	pause := w.cfg.Backoff
	for try := 1; err == nil; try++ {
		final, failure := w.post(ctx, body)
		if failure == nil {
			w.sent.Add(1)
			return
		}
		if err = failure; ctx.Err() != nil {
			return
		}
		if final || try >= w.cfg.Attempts {
			break
		}
		err = nil
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(float64(pause) * (0.5 + rand.Float64()))):
		}
		pause = min(2*pause, time.Minute)
	}
	w.failed.Add(1)
	w.cfg.Logger.ErrorContext(ctx, "an outlier's event could not be delivered", "tenant", string(e.Tenant), "cause", err)
}

// post sends once. final is whether it makes no sense to try again.
func (w *Webhook) post(ctx context.Context, body []byte) (final bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return true, errors.New("the URL is not usable")
	}
	if w.cfg.Header != nil {
		r.Header = w.cfg.Header.Clone()
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := w.client.Do(r)
	if err != nil {
		var in *url.Error // has the URL in its text
		if errors.As(err, &in) {
			err = in.Err
		}
		return false, err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection serves again
	switch s := answer.StatusCode; {
	case s/100 == 2:
		return false, nil
	case s/100 == 5, s == http.StatusTooManyRequests, s == http.StatusRequestTimeout:
		return false, fmt.Errorf("the webhook answered %d", s)
	default:
		return true, fmt.Errorf("the webhook answered %d", s)
	}
}
