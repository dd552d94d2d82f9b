package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// domains are customers' own.
type domains map[string]tenant.ID

func (d domains) LookupHost(_ context.Context, host string) (tenant.Tenant, error) {
	if host == "down.example" {
		return tenant.Tenant{}, errors.New("cannot be asked")
	}
	if id, ok := d[host]; ok {
		return tenant.Tenant{ID: id}, nil
	}
	return tenant.Tenant{}, fmt.Errorf("%s: %w", host, tenant.ErrUnknown)
}

func TestHost(t *testing.T) {
	t.Parallel()
	src := Host(domains{"shop.acme.example": "acme", "suspended.example": "suspended", "book.example": "globex"})
	for _, tt := range []struct {
		host, header string
		status       int
		as           tenant.ID
		code         string
	}{
		{"shop.acme.example", "", 204, "acme", ""},
		{"SHOP.Acme.example.:8080", "", 204, "acme", ""},
		{"shop.acme.example", "acme", 204, "acme", ""},
		{"elsewhere.example", "acme", 204, "acme", ""},
		{"elsewhere.example", "", 404, "", CodeTenantUnknown},
		{"boo\u212a.example", "", 404, "", CodeTenantUnknown}, // the Kelvin sign is no k
		{"", "", 404, "", CodeTenantUnknown},
		{"[::1]:8080", "", 404, "", CodeTenantUnknown},
		{"shop.acme.example", "globex", 400, "", CodeTenantConflict},
		{"shop.acme.example:x", "", 400, "", CodeTenantInvalid},
		{"down.example", "", 503, "", CodeRegistryUnavailable},
	} {
		for form := range forms {
			t.Run(form+"/"+tt.host+"/"+tt.header, func(t *testing.T) {
				t.Parallel()
				r := httptest.NewRequest(http.MethodGet, "/orders", nil)
				r.Host = tt.host
				r.Header.Set("X-Forwarded-Host", "book.example")
				if tt.header != "" {
					r.Header.Set("X-Tenant-ID", tt.header)
				}
				a := serve(form, Config{Registry: town(), From: []Source{src, Header("X-Tenant-ID")}}, r)
				if a.Code != tt.status || a.as != tt.as || tt.code != "" && a.doc["code"] != tt.code {
					t.Errorf("%d as %q: %v", a.Code, a.as, a.doc)
				}
			})
		}
	}
	if err := (Config{Registry: town(), From: []Source{Host(nil)}}).Validate(); err == nil {
		t.Error("a source without a directory is taken")
	}
}
