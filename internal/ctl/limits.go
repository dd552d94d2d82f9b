package ctl

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// limitList is the JSON form of all limits.
type limitList struct {
	Tiers   map[tenant.Tier]quota.Limits  `json:"tiers"`
	Tenants map[tenant.ID]json.RawMessage `json:"tenants"` // exceptions
	Lane    quota.Lane                    `json:"lane"`
}

// limitChange is the JSON form of limits that were changed.
type limitChange struct {
	Action string          `json:"action"` // set or unset
	DryRun bool            `json:"dry_run"`
	Of     string          `json:"of"` // tier, tenant or lane
	Name   string          `json:"name"`
	Limits json.RawMessage `json:"limits"` // null when unset
}

func (a *app) limitsCommand() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "limits",
		Short: "Show and change what tenants may take",
		Long: `Limits belong to tiers ("*" is every tier that has none), with exceptions of single
tenants, and to the lane, where tenants in quarantine run. Every process hears of a
change at once. docs/governance.md tells what each of them means.`,
	}, a.limitsList(), a.limitsSet(), a.limitsUnset())
}

func (a *app) limitsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all limits",
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.on(func(ctx context.Context, r *registry.Registry, _ []string) error {
			p, err := r.Policy(ctx)
			if err != nil {
				return err
			}
			return a.show(limitList{p.Tiers, p.Tenants, p.Lane}, func(w io.Writer) { tellLimits(w, p) })
		}),
	}
}

func tellLimits(w io.Writer, p quota.Policy) {
	t := rows{{"OF", "NAME", "LIMITS"}}
	for _, tier := range slices.Sorted(maps.Keys(p.Tiers)) {
		t.add("tier", tier, compact(p.Tiers[tier]))
	}
	for _, id := range slices.Sorted(maps.Keys(p.Tenants)) {
		t.add("tenant", id, string(p.Tenants[id]))
	}
	t.add("lane", "", compact(p.Lane))
	t.write(w)
}

// compact renders limits. Marshalling them cannot fail.
func compact(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// limitTarget says whose limits are meant.
type limitTarget struct {
	tier, tenant string
	lane         bool
}

func (a *app) bindTarget(cmd *cobra.Command, t *limitTarget) {
	f := cmd.Flags()
	f.StringVar(&t.tier, "tier", "", `a tier, or "*" for all that have no limits`)
	f.StringVar(&t.tenant, "tenant", "", "one tenant: an exception from its tier's")
	f.BoolVar(&t.lane, "lane", false, "tenants in quarantine")
	cmd.MarkFlagsOneRequired("tier", "tenant", "lane")
	cmd.MarkFlagsMutuallyExclusive("tier", "tenant", "lane")
	complete(cmd, "tenant", a.tenants)
}

func (t limitTarget) of() (of, name string) {
	switch {
	case t.tier != "":
		return "tier", t.tier
	case t.tenant != "":
		return "tenant", t.tenant
	}
	return "lane", ""
}

func (a *app) limitsSet() *cobra.Command {
	var target limitTarget
	cmd := &cobra.Command{
		Use:   "set KEY=VALUE...",
		Short: "Set the limits of a tier, a tenant or the lane, in place of those of before",
		Example: `  tenantctl limits set --tier free statements_per_second=50 concurrency=4 queue=20
  tenantctl limits set --tenant acme concurrency=none rows_per_result=100000`,
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.bindTarget(cmd, &target)
	cmd.RunE = a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
		object, err := limitObject(args)
		if err != nil {
			return err
		}
		if err := target.set(ctx, r, object, a.dryRun); err != nil {
			return err
		}
		of, name := target.of()
		return a.limitsChanged(limitChange{"set", a.dryRun, of, name, object})
	})
	return a.change(cmd)
}

// limitObject makes a JSON object of KEY=VALUE: numbers and true and false as they are,
// none as null, and durations as texts.
func limitObject(args []string) (json.RawMessage, error) {
	object := map[string]any{}
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok || key == "" || value == "" {
			return nil, usagef("%.60q: want KEY=VALUE, such as concurrency=4", arg)
		}
		switch {
		case value == "none":
			object[key] = nil
		case json.Valid([]byte(value)):
			object[key] = json.RawMessage(value)
		default:
			object[key] = value
		}
	}
	return json.Marshal(object)
}

func (t limitTarget) set(ctx context.Context, r *registry.Registry, object json.RawMessage, dryRun bool) error {
	var lane quota.Lane
	if t.lane {
		if err := json.Unmarshal(object, &lane); err != nil {
			return usage(err)
		}
		if dryRun {
			return nil
		}
		return r.SetLane(ctx, lane)
	}
	limits, err := (quota.Limits{}).With(object)
	switch {
	case err != nil:
		return usage(err)
	case dryRun && t.tenant != "":
		_, err = r.Get(ctx, tenant.ID(t.tenant))
	case dryRun:
	case t.tenant != "":
		err = r.SetLimits(ctx, tenant.ID(t.tenant), object)
	default:
		err = r.SetTierLimits(ctx, tenant.Tier(t.tier), limits)
	}
	return err
}

func (a *app) limitsUnset() *cobra.Command {
	var target limitTarget
	cmd := &cobra.Command{
		Use: "unset", Short: "Take the limits of a tier, a tenant's exception, or the lane's away",
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.bindTarget(cmd, &target)
	cmd.RunE = a.on(func(ctx context.Context, r *registry.Registry, _ []string) (err error) {
		switch {
		case a.dryRun:
		case target.lane:
			err = r.ClearLane(ctx)
		case target.tenant != "":
			err = r.ClearLimits(ctx, tenant.ID(target.tenant))
		default:
			err = r.ClearTierLimits(ctx, tenant.Tier(target.tier))
		}
		if err != nil {
			return err
		}
		of, name := target.of()
		return a.limitsChanged(limitChange{"unset", a.dryRun, of, name, nil})
	})
	return a.change(cmd)
}

func (a *app) limitsChanged(c limitChange) error {
	return a.show(c, func(w io.Writer) {
		subject := strings.TrimSpace("limits of " + c.Of + " " + cell(c.Name))
		switch {
		case a.dryRun:
			fmt.Fprintf(w, "%s would be %s\n", subject, c.Action)
		case !a.quiet:
			fmt.Fprintf(w, "%s %s\n", subject, c.Action)
		}
	})
}
