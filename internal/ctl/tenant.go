package ctl

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

func (a *app) tenantCommand() *cobra.Command {
	return a.group(&cobra.Command{
		Use:     "tenant",
		Aliases: []string{"tenants"},
		Short:   "Create, find, change and delete tenants",
		Long: `A tenant is an ID, a schema on a shard, and what the control plane knows of it. Every
change is audited (tenantctl tenant events) and reaches every process at once.`,
	}, a.tenantCreate(), a.tenantAdopt(), a.tenantGet(), a.tenantList(), a.tenantSet(), a.tenantSuspend(), a.tenantResume(),
		a.tenantRename(), a.tenantName(), a.tenantEvents(), a.tenantDelete(), a.tenantUndelete(),
		a.tenantArchive(), a.tenantRestore(), a.tenantCopy(), a.tenantRoles(),
		a.tenantOutliers(), a.tenantQuarantine(), a.tenantRelease(), a.tenantQuarantined())
}

// require returns a tenant, and an error unless it is in one of the states.
func require(ctx context.Context, r *registry.Registry, id tenant.ID, verb string, states ...tenant.State) (tenant.Tenant, error) {
	t, err := r.Get(ctx, id)
	if err == nil && !slices.Contains(states, t.State) {
		err = fmt.Errorf("%s tenant %s: it is %s: %w", verb, id, t.State, registry.ErrState)
	}
	return t, err
}

// refuseTaken returns an error if the ID is a tenant's.
func refuseTaken(ctx context.Context, r *registry.Registry, id tenant.ID) error {
	_, err := r.Get(ctx, id)
	switch {
	case err == nil:
		return fmt.Errorf("tenant %s: %w", id, tenant.ErrExists)
	case errors.Is(err, tenant.ErrUnknown):
		return nil
	}
	return err
}

// specFlags are the flags that describe a new tenant.
type specFlags struct {
	schema, tier, region, shard, attributes string
	role                                    bool
}

func (a *app) bindSpec(cmd *cobra.Command, s *specFlags) {
	f := cmd.Flags()
	f.StringVar(&s.schema, "schema", "", "name of its schema (default "+tenant.SchemaPrefix+"ID)")
	f.StringVar(&s.tier, "tier", "", "tier (default "+string(tenant.TierDefault)+")")
	f.StringVar(&s.shard, "shard", "", "shard")
	f.StringVar(&s.attributes, "attributes", "", "what the application keeps with it, a JSON object")
	bindRole(cmd, &s.role, "give it a database role, for strict mode")
	complete(cmd, "shard", a.shards)
}

func bindRole(cmd *cobra.Command, role *bool, what string) {
	cmd.Flags().BoolVar(role, "role", false, what)
}

func (s specFlags) spec(id string) tenant.Spec {
	return tenant.Spec{
		ID: tenant.ID(id), Schema: s.schema, Tier: tenant.Tier(s.tier), Region: s.region, Shard: s.shard,
		Attributes: tenant.Attributes(s.attributes),
	}
}

// place tells where a tenant lives.
func place(t tenant.Tenant) string {
	return fmt.Sprintf(": schema %s on shard %s, version %d", cell(t.Schema), cell(t.Placement.Shard), t.Version)
}
