package tenant_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestCarriers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]tenant.Carrier{"header": http.Header{}, "map": tenant.MapCarrier{}} {
		if err := tenant.Inject(tenant.NewContext(t.Context(), "acme"), c); err != nil {
			t.Fatal(err)
		}
		ctx, err := tenant.Extract(tenant.NewContext(t.Context(), "before"), c)
		if id, _ := tenant.FromContext(ctx); err != nil || id != "acme" {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
}

func TestCarrierOfAJob(t *testing.T) {
	t.Parallel()
	c := tenant.MapCarrier{}
	if err := tenant.Inject(tenant.NewContext(t.Context(), "acme"), c); err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(c)
	if err != nil || string(payload) != `{"X-Tenant-ID":"acme"}` {
		t.Fatalf("%s, %v", payload, err)
	}
	var got tenant.MapCarrier
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	ctx, err := tenant.Extract(t.Context(), got)
	if id, _ := tenant.FromContext(ctx); err != nil || id != "acme" {
		t.Errorf("%q, %v", id, err)
	}
}

func TestNothingTravelsWithoutATenant(t *testing.T) {
	t.Parallel()
	for name, ctx := range map[string]error{
		"none": tenant.Inject(t.Context(), http.Header{}), "shared": tenant.Inject(tenant.Shared(t.Context()), http.Header{}),
		"nil": tenant.Inject(nil, http.Header{}), //nolint:staticcheck // on purpose
	} {
		if !errors.Is(ctx, tenant.ErrNone) {
			t.Errorf("%s: %v", name, ctx)
		}
	}
	if err := tenant.Inject(tenant.NewContext(t.Context(), "No!"), http.Header{}); !errors.Is(err, tenant.ErrInvalidID) {
		t.Errorf("a bad ID: %v", err)
	}
}

// What names no tenant, or not one, leaves none of before in the context.
func TestExtractFailsClosed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		carrier tenant.Carrier
		want    error
	}{
		"empty":   {http.Header{}, tenant.ErrNone},
		"map":     {tenant.MapCarrier{"other": "acme"}, tenant.ErrNone},
		"twice":   {http.Header{"X-Tenant-Id": {"acme", "other"}}, tenant.ErrInvalidID},
		"hostile": {tenant.MapCarrier{tenant.CarrierKey: `a"; drop schema x`}, tenant.ErrInvalidID},
		"long":    {tenant.MapCarrier{tenant.CarrierKey: strings.Repeat("x", 64)}, tenant.ErrInvalidID},
	} {
		ctx, err := tenant.Extract(tenant.NewContext(t.Context(), "before"), c.carrier)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if id, err := tenant.FromContext(ctx); !errors.Is(err, c.want) {
			t.Errorf("%s: the context names %q, %v", name, id, err)
		}
	}
}
