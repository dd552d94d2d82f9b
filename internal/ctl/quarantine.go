package ctl

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// quarantineList is the JSON form of the quarantine.
type quarantineList struct {
	Quarantined []quarantineView `json:"quarantined"`
}

// quarantineView is the JSON form of a tenant's quarantine.
type quarantineView struct {
	Tenant     tenant.ID  `json:"tenant"`
	Shard      string     `json:"shard"`
	Since      *time.Time `json:"since"`
	Until      *time.Time `json:"until"`
	ReleasedAt *time.Time `json:"released_at"` // null if it was not
	Relapses   int        `json:"relapses"`
	Trial      bool       `json:"trial"`
	Reason     string     `json:"reason"`
}

func viewQuarantine(q registry.Quarantined) quarantineView {
	return quarantineView{q.Tenant, q.Shard, moment(q.Since), moment(q.Until), moment(q.Released), q.Relapses, q.DryRun, q.Reason}
}

func (a *app) tenantQuarantine() *cobra.Command {
	var spec registry.QuarantineSpec
	cmd := &cobra.Command{
		Use:   "quarantine ID",
		Short: "Let a tenant run in the lane, on few connections and low limits, for a while",
		Long: `Puts a tenant into quarantine in every process. It ends by itself, after twice as long
if there was another one within the last day. Who is there already stays as he is.`,
		Example: `  tenantctl tenant quarantine acme --for 30m --reason "reports gone wild"`,
		Args:    cobra.ExactArgs(1), ValidArgsFunction: firstArg(a.tenants),
	}
	f := cmd.Flags()
	f.DurationVar(&spec.For, "for", 0, "how long (default 10m, at most 24h)")
	f.StringVar(&spec.Reason, "reason", "", "why, for the audit")
	f.BoolVar(&spec.DryRun, "trial", false, "write it down, without effect on the tenant")
	f.Float64Var(&spec.MaxShare, "max-share", 0, "how much of the shard's tenants may be there (default 0.02; one always may)")
	cmd.RunE = a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
		t, err := r.Get(ctx, tenant.ID(args[0]))
		if err != nil {
			return err
		}
		if spec.For < 0 || spec.For > 24*time.Hour || spec.MaxShare < 0 || spec.MaxShare > 1 {
			return usagef("--for: want at most 24h; --max-share: want 0 to 1")
		}
		note := ""
		if !a.dryRun {
			q, err := r.Quarantine(ctx, t.ID, spec)
			if err != nil {
				return err
			}
			note = fmt.Sprintf(" until %s", q.Until.Format(time.RFC3339))
		}
		return a.changedTenant("quarantined", t, note)
	})
	return a.change(cmd)
}

func (a *app) tenantRelease() *cobra.Command {
	cmd := &cobra.Command{
		Use: "release ID", Short: "End a tenant's quarantine, and forget that it had one",
		Args: cobra.ExactArgs(1), ValidArgsFunction: firstArg(a.tenants),
	}
	cmd.RunE = a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
		t, err := r.Get(ctx, tenant.ID(args[0]))
		if err == nil && !a.dryRun {
			err = r.Release(ctx, t.ID)
		}
		if err != nil {
			return err
		}
		return a.changedTenant("released", t, "")
	})
	return a.change(cmd)
}

func (a *app) tenantQuarantined() *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use: "quarantined", Short: "List the tenants in quarantine",
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.on(func(ctx context.Context, r *registry.Registry, _ []string) error {
			list, err := r.Quarantined(ctx, all)
			if err != nil {
				return err
			}
			return a.show(quarantineList{collect(list, viewQuarantine)}, func(w io.Writer) {
				t := rows{{"TENANT", "SHARD", "SINCE", "UNTIL", "RELAPSES", "STATE", "REASON"}}
				for _, q := range list {
					t.add(q.Tenant, q.Shard, q.Since, q.Until, q.Relapses, quarantineState(q), q.Reason)
				}
				t.write(w)
			})
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "also those that are over")
	return cmd
}

func quarantineState(q registry.Quarantined) string {
	switch {
	case !q.Released.IsZero():
		return "released"
	case !q.Active(time.Now()):
		return "over"
	case q.DryRun:
		return "trial"
	}
	return "in force"
}
