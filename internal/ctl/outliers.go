package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// outlierList is the JSON form of findings.
type outlierList struct {
	Outliers []outlierView `json:"outliers"`
}

// outlierView is the JSON form of a finding of a process's detector.
type outlierView struct {
	ID          int64           `json:"id"`
	Tenant      tenant.ID       `json:"tenant"`
	Shard       string          `json:"shard"`
	Process     string          `json:"process"`
	Cause       string          `json:"cause"`
	Evidence    string          `json:"evidence"`
	Magnitude   float64         `json:"magnitude"` // times the baseline
	Value       float64         `json:"value"`
	Baseline    float64         `json:"baseline"`
	Threshold   float64         `json:"threshold"`
	Fingerprint string          `json:"fingerprint"`
	Query       string          `json:"query"`
	Since       *time.Time      `json:"since"`
	OpenedAt    *time.Time      `json:"opened_at"`
	ChangedAt   *time.Time      `json:"changed_at"`
	ClosedAt    *time.Time      `json:"closed_at"` // null while it lasts
	Explanation json.RawMessage `json:"explanation"`
}

func viewOutlier(f registry.Finding) outlierView {
	v := outlierView{
		ID: f.ID, Tenant: f.Tenant, Shard: f.Shard, Process: f.Process, Cause: f.Cause, Evidence: f.Evidence, Magnitude: f.Magnitude,
		Value: f.Value, Baseline: f.Baseline, Threshold: f.Threshold, Query: f.Query,
		Since: moment(f.Since), OpenedAt: moment(f.Opened), ChangedAt: moment(f.Changed), ClosedAt: moment(f.Closed), Explanation: f.Explanation,
	}
	if f.Fingerprint != 0 {
		v.Fingerprint = fmt.Sprintf("%016x", f.Fingerprint)
	}
	return v
}

// outlierOptions are tenant outliers' own flags.
type outlierOptions struct {
	all, explain bool
	since        time.Duration
	shard        string
}

func (a *app) tenantOutliers() *cobra.Command {
	var o outlierOptions
	cmd := &cobra.Command{
		Use:   "outliers [ID]",
		Short: "Show the tenants that misbehave, and why",
		Long: `Shows what the outlier detectors of the processes have found (package warden), the
newest first: those that last, or with --all also those that are over. --explain shows
each thing that was compared.`,
		Example: `  tenantctl tenant outliers
  tenantctl tenant outliers acme --all --explain`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: firstArg(a.tenants),
		RunE: a.on(func(ctx context.Context, r *registry.Registry, args []string) error {
			return a.listOutliers(ctx, r, args, o)
		}),
	}
	f := cmd.Flags()
	f.BoolVar(&o.all, "all", false, "also those that are over")
	f.BoolVar(&o.explain, "explain", false, "show what was compared, and how it came out")
	f.DurationVar(&o.since, "since", 0, "only what was told within this time, such as 24h")
	f.StringVar(&o.shard, "shard", "", "only on this shard")
	complete(cmd, "shard", a.shards)
	return cmd
}

func (a *app) listOutliers(ctx context.Context, r *registry.Registry, args []string, o outlierOptions) error {
	filter := registry.FindingFilter{Shard: o.shard, Open: !o.all, Limit: registry.MaxLimit}
	if len(args) > 0 {
		id, err := tenant.ParseID(args[0])
		if err != nil {
			return err
		}
		filter.Tenant = id
	}
	if o.since > 0 {
		filter.Since = time.Now().Add(-o.since)
	}
	found, err := r.Findings(ctx, filter)
	if err != nil {
		return err
	}
	return a.show(outlierList{collect(found, viewOutlier)}, func(w io.Writer) {
		if !o.explain {
			tellOutliers(w, found)
			return
		}
		for _, f := range found {
			explainOutlier(w, f)
		}
	})
}

// shortQuery is how much of a query a table shows.
const shortQuery = 60

func tellOutliers(w io.Writer, found []registry.Finding) {
	t := rows{{"TENANT", "SHARD", "CAUSE", "TIMES", "SINCE", "UNTIL", "QUERY"}}
	for _, f := range found {
		query := f.Query
		if len(query) > shortQuery {
			query = query[:shortQuery] + "..."
		}
		until := ""
		if !f.Closed.IsZero() {
			until = f.Closed.Format(time.RFC3339)
		}
		t.add(f.Tenant, f.Shard, f.Cause, fmt.Sprintf("%.1f", f.Magnitude), f.Since, until, query)
	}
	t.write(w)
}

// explainOutlier tells of one finding in full.
func explainOutlier(w io.Writer, f registry.Finding) {
	fmt.Fprintf(w, "%s on %s: %s\n  %s\n", cell(string(f.Tenant)), cell(f.Shard), cell(f.Cause), cell(f.Evidence))
	if f.Query != "" {
		fmt.Fprintf(w, "  query: %s\n", cell(f.Query))
	}
	var e struct {
		Summary string `json:"summary"`
		Signals []struct {
			Name string `json:"name"`
			Why  string `json:"why"`
		} `json:"signals"`
	}
	if json.NewDecoder(bytes.NewReader(f.Explanation)).Decode(&e) != nil {
		return // there is none
	}
	fmt.Fprintf(w, "  %s\n", cell(e.Summary))
	for _, s := range e.Signals {
		fmt.Fprintf(w, "  - %s: %s\n", cell(s.Name), cell(s.Why))
	}
}
