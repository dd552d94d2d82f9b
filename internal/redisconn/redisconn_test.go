package redisconn

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://:s3cr3t@host", "redis://:s3cr3t@host:port:6379/x", "redis://user:s3cr3t%zz@host", ""} {
		if _, err := Options(url, nil); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := Options("redis://host", &tls.Config{}); err == nil || !strings.Contains(err.Error(), "rediss") {
		t.Errorf("TLS settings without TLS: %v", err)
	}
	config := &tls.Config{}
	o, err := Options("rediss://:s3cr3t@host:7000/3", config)
	if err != nil || o.Addr != "host:7000" || o.DB != 3 || o.Password != "s3cr3t" || o.TLSConfig.ServerName != "host" || config.ServerName != "" {
		t.Errorf("%+v, %v", o, err)
	}
	if !o.ContextTimeoutEnabled || o.MaxRetries != -1 {
		t.Errorf("a call may outlast its context: %+v", o)
	}
}

func TestPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := Pauses{First: time.Second}
		for _, want := range []time.Duration{1, 2, 4, 8, 16, 20, 20} {
			begin, want := time.Now(), want*time.Second
			if !p.Wait(t.Context()) {
				t.Fatal("the context did not end")
			}
			if d := time.Since(begin); d < want*3/4 || d > want*5/4 {
				t.Errorf("a pause of %s, want about %s", d, want)
			}
		}
		p.Reset()
		if p.Next() != time.Second {
			t.Errorf("after Reset: %s", p.Next())
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if p.Wait(ctx) {
			t.Error("it outlasts its context")
		}
	})
}
