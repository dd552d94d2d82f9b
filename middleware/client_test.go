package middleware_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gormtenancy/gormtenancy/middleware"
	"github.com/gormtenancy/gormtenancy/tenant"
)

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

func TestTransport(t *testing.T) {
	t.Parallel()
	var heard []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		heard = r.Header.Values(tenant.CarrierKey)
	}))
	defer server.Close()
	client := &http.Client{Transport: middleware.Transport(nil)}
	defer client.CloseIdleConnections()
	send := func(ctx context.Context, body io.Reader) error {
		heard = nil
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(tenant.CarrierKey, "forged")
		res, err := client.Do(r)
		if err == nil {
			err = res.Body.Close()
		}
		if got := r.Header.Get(tenant.CarrierKey); got != "forged" {
			t.Errorf("the caller's request was changed: %q", got)
		}
		return err
	}
	if err := send(tenant.NewContext(t.Context(), "acme"), nil); err != nil || len(heard) != 1 || heard[0] != "acme" {
		t.Errorf("as acme: heard %q, %v", heard, err)
	}
	if err := send(tenant.Shared(t.Context()), nil); err != nil || len(heard) != 0 {
		t.Errorf("shared: heard %q, %v", heard, err)
	}
	body := &closing{Reader: strings.NewReader("x")}
	if err := send(t.Context(), body); !errors.Is(err, tenant.ErrNone) || heard != nil || !body.closed {
		t.Errorf("without a tenant: heard %q, %v, body closed %v", heard, err, body.closed)
	}
}
