package resolver

import (
	"context"
	"database/sql/driver"
	"errors"
	"testing"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// bucketed is a Directory of one tenant.
type bucketed struct {
	changing
	tenant tenant.Tenant
}

func (b *bucketed) Lookup(context.Context, tenant.ID) (tenant.Tenant, error) { return b.tenant, nil }

func (b *bucketed) Login(context.Context, string, string) (tenant.Secret, error) {
	return "", tenant.ErrNoRole
}

// What a tenant's statements get on the connections of each login.
func TestScopeFollowsTheLogin(t *testing.T) {
	t.Parallel()
	as := func(string, LoginFunc, ScopeFunc) (driver.Connector, error) { return connector{}, nil }
	connect := func(string, ScopeFunc) (driver.Connector, error) { return connector{}, nil }
	if _, err := New(Config{Directory: &changing{}, Connect: connect, ConnectAs: as}); err == nil {
		t.Error("a Directory without logins was taken")
	}
	dir := &bucketed{}
	dir.def = tenant.Shard{Name: "s1", Primary: "p", Replicas: []string{"r"}}
	r, err := New(Config{Directory: dir, Connect: connect, ConnectAs: as, Home: tenant.Shard{Name: "s1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx := tenant.NewContext(t.Context(), "a")
	admitted := tenant.Admit(ctx, tenant.StateProvisioning)
	bare := tenant.Tenant{ID: "a", Schema: "a", State: tenant.StateActive, Placement: tenant.Placement{Shard: "s1"}}
	with := func(state tenant.State, role, login string) tenant.Tenant {
		t := bare
		t.State, t.Role, t.Login = state, role, login
		return t
	}
	for name, c := range map[string]struct {
		ctx   context.Context
		is    tenant.Tenant
		login string
		role  string
		err   error
	}{
		"its login":                  {ctx, with(tenant.StateActive, "ra", "l1"), "l1", "ra", nil},
		"another login":              {ctx, with(tenant.StateActive, "ra", "l2"), "l1", "", tenant.ErrMisplaced},
		"the shard's own user":       {ctx, with(tenant.StateActive, "ra", "l1"), "", "", tenant.ErrMisplaced},
		"no role":                    {ctx, bare, "", "", tenant.ErrNoRole},
		"no role, on a login's":      {ctx, bare, "l1", "", tenant.ErrNoRole},
		"no login":                   {ctx, with(tenant.StateActive, "ra", ""), "", "", tenant.ErrNoRole},
		"no login, on none":          {ctx, with(tenant.StateActive, "none", "l1"), "l1", "", tenant.ErrNoRole},
		"provisioning":               {admitted, with(tenant.StateProvisioning, "ra", "l1"), "", "", nil},
		"provisioning, on a login's": {admitted, with(tenant.StateProvisioning, "ra", "l1"), "l1", "", tenant.ErrMisplaced},
		"provisioning, not admitted": {ctx, with(tenant.StateProvisioning, "ra", "l1"), "", "", tenant.ErrNotActive},
		"shared, on a login's":       {tenant.Shared(ctx), bare, "l1", "", tenant.ErrNone},
		"nobody, on a login's":       {t.Context(), bare, "l1", "", tenant.ErrNone},
		"shared":                     {tenant.Shared(ctx), bare, "", "", nil},
		"suspended, though admitted": {tenant.Admit(ctx, tenant.StateSuspended), with(tenant.StateSuspended, "ra", "l1"), "l1", "ra", nil},
		"suspended, as the shard's":  {tenant.Admit(ctx, tenant.StateSuspended), with(tenant.StateSuspended, "ra", "l1"), "", "", tenant.ErrMisplaced},
		"a role that would be cut":   {ctx, with(tenant.StateActive, string(make([]byte, 64)), "l1"), "l1", "", tenant.ErrNoRole},
		"moving":                     {ctx, with(tenant.StateMoving, "ra", "l1"), "l1", "ra", nil},
	} {
		dir.tenant = c.is
		s, err := r.scope("s1", c.login)(c.ctx)
		if !errors.Is(err, c.err) || s.Role != c.role {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	// Each login has its pools, and what is known of the nodes is the shard's.
	dir.tenant = with(tenant.StateActive, "ra", "l1")
	first, err := (&conn{r: r}).locate(ctx)
	if err != nil || first.shard.login != "l1" {
		t.Fatalf("%+v, %v", first, err)
	}
	base, err := r.shard(ctx, "s1")
	if err != nil || base == first.shard || base.fresh != first.shard.fresh || base.replicas[0].standing != first.shard.replicas[0].standing {
		t.Errorf("the login's pools know the replica otherwise than the shard's, %v", err)
	}
	r.forget("s1")
	again, err := (&conn{r: r}).locate(ctx)
	if err != nil || again.shard == first.shard {
		t.Errorf("a login's pools outlived their shard, %v", err)
	}
}
