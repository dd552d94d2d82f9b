package tenant_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/gormtenancy/gormtenancy/tenant"
)

func TestContext(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var none context.Context
	acme := tenant.NewContext(ctx, "acme")
	for what, c := range map[string]struct {
		ctx    context.Context
		id     tenant.ID
		err    error
		shared bool
	}{
		"nil":                 {none, "", tenant.ErrNone, false},
		"empty":               {ctx, "", tenant.ErrNone, false},
		"a tenant":            {acme, "acme", nil, false},
		"a child":             {context.WithValue(acme, new(int), 1), "acme", nil, false},
		"from nil":            {tenant.NewContext(none, "acme"), "acme", nil, false},
		"replaced":            {tenant.NewContext(acme, "globex"), "globex", nil, false},
		"shared":              {tenant.Shared(ctx), "", tenant.ErrNone, true},
		"shared from nil":     {tenant.Shared(none), "", tenant.ErrNone, true},
		"shared after tenant": {tenant.Shared(acme), "", tenant.ErrNone, true},
		"tenant after shared": {tenant.NewContext(tenant.Shared(ctx), "acme"), "acme", nil, false},
		"bad":                 {tenant.NewContext(ctx, "Bad ID"), "", tenant.ErrInvalidID, false},
		"none at all":         {tenant.NewContext(ctx, ""), "", tenant.ErrInvalidID, false},
		"bad after good":      {tenant.NewContext(acme, "pg_x"), "", tenant.ErrInvalidID, false},
		"bad after shared":    {tenant.NewContext(tenant.Shared(ctx), "pg_x"), "", tenant.ErrInvalidID, false},
		"good after bad":      {tenant.NewContext(tenant.NewContext(ctx, "Bad"), "acme"), "acme", nil, false},
		"shared after bad":    {tenant.Shared(tenant.NewContext(ctx, "Bad")), "", tenant.ErrNone, true},
		"admitted":            {tenant.Admit(acme, tenant.StateArchived), "acme", nil, false},
		"detached":            {context.WithoutCancel(acme), "acme", nil, false},
	} {
		got, err := tenant.FromContext(c.ctx)
		if got != c.id || !errors.Is(err, c.err) || tenant.IsShared(c.ctx) != c.shared {
			t.Errorf("%s: %q, %v, shared %t", what, got, err, tenant.IsShared(c.ctx))
		}
	}
	if got, _ := tenant.FromContext(acme); got != "acme" {
		t.Errorf("the parent was changed to %q", got)
	}
}

func TestDemand(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	acme := tenant.NewContext(ctx, "acme")
	five := tenant.RequireVersion(acme, 5)
	for what, c := range map[string]struct {
		ctx     context.Context
		id      tenant.ID
		version int64
		err     error
	}{
		"by default":           {acme, "acme", 3, nil},
		"required":             {five, "acme", 5, nil},
		"lifted":               {tenant.RequireVersion(five, 0), "acme", 0, nil},
		"another tenant":       {tenant.NewContext(five, "globex"), "globex", 5, nil},
		"before the tenant":    {tenant.NewContext(tenant.RequireVersion(ctx, 7), "acme"), "acme", 7, nil},
		"no tenant":            {tenant.RequireVersion(ctx, 7), "", 7, tenant.ErrNone},
		"shared":               {tenant.Shared(five), "", 0, tenant.ErrNone},
		"back from shared":     {tenant.NewContext(tenant.Shared(five), "acme"), "acme", 5, nil},
		"bad":                  {tenant.RequireVersion(tenant.NewContext(ctx, "Bad ID"), 7), "", 7, tenant.ErrInvalidID},
		"shared keeps the say": {tenant.RequireVersion(tenant.Shared(ctx), 7), "", 0, tenant.ErrNone},
	} {
		id, version, err := tenant.Demand(c.ctx, 3)
		if id != c.id || version != c.version || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %d, %v", what, id, version, err)
		}
	}
	if !tenant.IsShared(tenant.RequireVersion(tenant.Shared(ctx), 7)) {
		t.Error("not shared any more")
	}
}

func TestFromContextAllocatesNothing(t *testing.T) {
	ctx := tenant.NewContext(t.Context(), "acme")
	if n := testing.AllocsPerRun(100, func() { _, _ = tenant.FromContext(ctx) }); n != 0 {
		t.Errorf("%.1f allocations", n)
	}
}

var states = []tenant.State{
	tenant.StateProvisioning, tenant.StateActive, tenant.StateSuspended, tenant.StateMoving, tenant.StateArchived,
}

func TestUsable(t *testing.T) {
	t.Parallel()
	refusals := map[tenant.State]error{
		tenant.StateProvisioning: tenant.ErrNotActive, tenant.StateSuspended: tenant.ErrSuspended, tenant.StateArchived: tenant.ErrNotActive,
		"": tenant.ErrNotActive, "Active": tenant.ErrNotActive,
	}
	var none context.Context
	for _, s := range append(states, "", "Active") {
		rec := tenant.Tenant{ID: "acme", State: s}
		want := refusals[s]
		if got := s.Serves(); got != (want == nil) {
			t.Errorf("%s serves: %t", s, got)
		}
		for _, ctx := range []context.Context{none, t.Context(), tenant.Admit(t.Context())} {
			if err := rec.Usable(tenant.AdmissionOf(ctx)); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", s, err, want)
			}
		}
		for _, admitted := range states {
			err := rec.Usable(tenant.AdmissionOf(tenant.Admit(none, tenant.StateMoving, admitted)))
			if admitted == s && err != nil || admitted != s && !errors.Is(err, want) {
				t.Errorf("%s, admitted %s: %v", s, admitted, err)
			}
		}
	}
}

// The innermost Admit counts alone: who narrows it does not inherit more.
func TestNestedAdmit(t *testing.T) {
	t.Parallel()
	ctx := tenant.Admit(tenant.Admit(t.Context(), tenant.StateSuspended), tenant.StateArchived)
	suspended, archived := tenant.Tenant{State: tenant.StateSuspended}, tenant.Tenant{State: tenant.StateArchived}
	if err := archived.Usable(tenant.AdmissionOf(ctx)); err != nil {
		t.Error(err)
	}
	if err := suspended.Usable(tenant.AdmissionOf(ctx)); !errors.Is(err, tenant.ErrSuspended) {
		t.Errorf("the outer admission still holds: %v", err)
	}
}

func TestParseState(t *testing.T) {
	t.Parallel()
	for _, s := range states {
		if got, err := tenant.ParseState(string(s)); err != nil || got != s {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "Active", "active ", "deleted", "a\nb"} {
		got, err := tenant.ParseState(s)
		if err == nil || got != "" {
			t.Errorf("%q is a state: %q", s, got)
			continue
		}
		for _, known := range states {
			if !strings.Contains(err.Error(), string(known)) {
				t.Errorf("the error does not name %s: %v", known, err)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("a broken line: %q", err)
		}
	}
}
