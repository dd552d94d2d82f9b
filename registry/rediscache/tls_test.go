package rediscache

import (
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/gormtenancy/gormtenancy/registry"
)

// TestTLS: the cache speaks TLS to a server whose authority it was told of, and stays
// shut for one that it does not know.
func TestTLS(t *testing.T) {
	t.Parallel()
	web := httptest.NewUnstartedServer(nil) // for its certificate, of 127.0.0.1 and example.com
	web.StartTLS()
	web.Close()
	redis, err := miniredis.RunTLS(&tls.Config{Certificates: web.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	known := x509.NewCertPool()
	known.AddCert(web.Certificate())
	p := start(t, "rediss://"+redis.Addr(), TLS(&tls.Config{RootCAs: known})).used(t)
	p.keep(t, "acme", "value")

	for what, config := range map[string]*tls.Config{
		"unknown authority": {RootCAs: x509.NewCertPool()},
		"another name":      {RootCAs: known, ServerName: "elsewhere.example"},
	} {
		p := start(t, "rediss://"+redis.Addr(), TLS(config))
		eventually(t, what, func() bool { return p.Stats().Errors > 0 || p.Stats().Opened > 0 })
		if p.session.Load() != nil {
			t.Errorf("%s: it is used", what)
		}
	}
	err = New("redis://"+redis.Addr(), TLS(&tls.Config{})).Open(t.Context(), registry.CacheConfig{})
	if err == nil || !strings.Contains(err.Error(), "rediss") {
		t.Errorf("TLS settings for a URL without TLS: %v", err)
	}
}
