package ctl

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// limitsOf is the JSON form of what holds for one tenant.
type limitsOf struct {
	Tenant tenant.ID   `json:"tenant"`
	Tier   tenant.Tier `json:"tier"`
	// TierLimits are those of LimitsOf: the tier, "*", or "" if neither has any.
	TierLimits quota.Limits `json:"tier_limits"`
	LimitsOf   tenant.Tier  `json:"tier_limits_of"`
	// Exception is null if the tenant has none.
	Exception        json.RawMessage `json:"exception"`
	InForce          quota.Limits    `json:"in_force"`
	QuarantinedUntil *time.Time      `json:"quarantined_until"` // null if it is not
	Full             bool            `json:"full"`
	ReadReplicasOnly bool            `json:"read_replicas_only"`
}

func (a *app) limitsGet() *cobra.Command {
	return &cobra.Command{
		Use:   "get TENANT",
		Short: "Show what holds for one tenant, and where it comes from",
		Long: `Shows the limits of the tenant's tier, its exception ("none" removes a limit), and what
its processes keep to: with the lane's limits while it is in quarantine, and with the
defaults of what was left out. "-" is no limit.`,
		Example: `  tenantctl limits get acme`,
		Args:    cobra.ExactArgs(1), ValidArgsFunction: firstArg(a.tenants),
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			t, err := r.Get(ctx, tenant.ID(args[0]))
			if err != nil {
				return err
			}
			p, err := r.Policy(ctx)
			if err != nil {
				return err
			}
			v, err := a.limitsIn(ctx, p, t)
			if err != nil {
				return err
			}
			return a.show(v, v.tell)
		}),
	}
}

// fixedPolicy is a quota.Source of what was read already.
type fixedPolicy quota.Policy

func (f fixedPolicy) Policy(context.Context) (quota.Policy, error) { return quota.Policy(f), nil }

func (f fixedPolicy) OnPolicyChange(func()) (cancel func()) { return func() {} }

// limitsIn tells what a policy means for a tenant. A governor says so, as it does for
// the application.
func (a *app) limitsIn(ctx context.Context, p quota.Policy, t tenant.Tenant) (limitsOf, error) {
	g, err := quota.New(quota.Config{Source: fixedPolicy(p), Logger: a.logger()})
	if err != nil {
		return limitsOf{}, err
	}
	if err := g.Start(ctx); err != nil {
		return limitsOf{}, err
	}
	defer g.Stop()
	in := g.Limits(&t)
	v := limitsOf{
		Tenant: t.ID, Tier: t.Tier, Exception: p.Tenants[t.ID], InForce: in.Limits, Full: in.Full, ReadReplicasOnly: in.ReadReplicasOnly,
	}
	for _, tier := range []tenant.Tier{t.Tier, quota.TierAny} {
		if l, ok := p.Tiers[tier]; ok {
			v.TierLimits, v.LimitsOf = l, tier
			break
		}
	}
	if in.Quarantined {
		v.QuarantinedUntil = moment(p.Quarantined[t.ID].Until)
	}
	return v, nil
}

func (v limitsOf) tell(w io.Writer) {
	about := fmt.Sprintf("tenant %s, tier %s", cell(v.Tenant), cell(v.Tier))
	if v.LimitsOf == quota.TierAny {
		about += ", which has the limits of all tiers without"
	}
	if v.QuarantinedUntil != nil {
		about += ", in quarantine until " + cell(*v.QuarantinedUntil)
	}
	if v.ReadReplicasOnly {
		about += ", reads from replicas only"
	}
	if v.Full {
		about += ", over its storage"
	}
	fmt.Fprintln(w, about)
	tier, exception, inForce := limitCells(compact(v.TierLimits)), limitCells(string(v.Exception)), limitCells(compact(v.InForce))
	t := rows{{"LIMIT", "TIER", "EXCEPTION", "IN FORCE"}}
	for _, key := range limitKeys() {
		t.add(key, tier[key], exception[key], inForce[key])
	}
	t.write(w)
}

// limitCells returns the values of a JSON object of limits as people write them.
func limitCells(object string) map[string]string {
	var values map[string]json.RawMessage
	_ = json.Unmarshal([]byte(object), &values) // of no exception, none
	cells := make(map[string]string, len(values))
	for key, raw := range values {
		cells[key] = strings.Trim(string(raw), `"`)
		if cells[key] == "null" {
			cells[key] = "none"
		}
	}
	return cells
}

// limitKeys returns the names of all limits, in the order of quota.Limits.
func limitKeys() (keys []string) {
	t := reflect.TypeFor[quota.Limits]()
	for i := range t.NumField() {
		key, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		keys = append(keys, key)
	}
	return keys
}

// limitWords proposes KEY= of those limits that are not said yet.
func limitWords(_ *cobra.Command, args []string, word string) (proposed []string, _ cobra.ShellCompDirective) {
	for _, key := range limitKeys() {
		said := slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, key+"=") })
		if !said && strings.HasPrefix(key, word) {
			proposed = append(proposed, key+"=")
		}
	}
	return proposed, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
