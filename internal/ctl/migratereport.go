package ctl

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// report is the JSON form of what a run did.
type report struct {
	DryRun bool  `json:"dry_run"` // false
	Down   bool  `json:"down"`
	Target int64 `json:"target"`
	Total  int   `json:"total"`
	counts
	Retries  int           `json:"retries"`
	Seconds  float64       `json:"duration_seconds"`
	Shards   []shardReport `json:"shards"`
	Failures []failedOne   `json:"failures"`
	Skips    []skippedOne  `json:"skips"`
}

// counts are tenants by outcome. Corrected are those that were there already, and
// of which only the control plane did not know.
type counts struct {
	Migrated  int `json:"migrated"`
	Corrected int `json:"corrected"`
	Failed    int `json:"failed"`
	Skipped   int `json:"skipped"`
	Unreached int `json:"unreached"`
}

type shardReport struct {
	Shard string `json:"shard"`
	counts
}

type failedOne struct {
	Tenant tenant.ID `json:"tenant"`
	Error  string    `json:"error"`
}

type skippedOne struct {
	Tenant tenant.ID `json:"tenant"`
	Reason string    `json:"reason"`
}

func viewCounts(c migrations.Counts) counts {
	return counts{c[migrations.Migrated], c[migrations.Corrected], c[migrations.Failed], c[migrations.Skipped], c[migrations.Unreached]}
}

func viewReport(r *migrations.Report) report {
	v := report{
		Down: r.Down, Target: r.Target, Total: r.Total, counts: viewCounts(r.Counts), Retries: r.Retries,
		Seconds: r.Duration.Seconds(), Shards: []shardReport{}, Failures: []failedOne{}, Skips: []skippedOne{},
	}
	for _, name := range slices.Sorted(maps.Keys(r.Shards)) {
		v.Shards = append(v.Shards, shardReport{name, viewCounts(r.Shards[name])})
	}
	for _, id := range slices.Sorted(maps.Keys(r.Failed)) {
		v.Failures = append(v.Failures, failedOne{id, r.Failed[id].Error()})
	}
	for _, id := range slices.Sorted(maps.Keys(r.Skipped)) {
		v.Skips = append(v.Skips, skippedOne{id, r.Skipped[id]})
	}
	return v
}

func (a *app) showReport(r *migrations.Report) error {
	v := viewReport(r)
	return a.show(v, func(w io.Writer) {
		tellReport(w, v)
		fmt.Fprintln(w, r)
	})
}

// shownTenants bounds what people are told of each kind; JSON has all.
const shownTenants = 20

func tellReport(w io.Writer, v report) {
	if v.Total == 0 {
		return
	}
	t := rows{{"SHARD", "MIGRATED", "CORRECTED", "FAILED", "SKIPPED", "NOT REACHED"}}
	for _, s := range v.Shards {
		t.add(s.Shard, s.Migrated, s.Corrected, s.Failed, s.Skipped, s.Unreached)
	}
	t.write(w)
	tellFailures(w, v.Failures)
	for i, s := range v.Skips {
		if i == shownTenants {
			fmt.Fprintf(w, "and %d more were skipped: -o json has all\n", len(v.Skips)-i)
			break
		}
		fmt.Fprintf(w, "skipped %s: %s\n", s.Tenant, cell(s.Reason))
	}
}

func tellFailures(w io.Writer, failures []failedOne) {
	for i, f := range failures {
		if i == shownTenants {
			fmt.Fprintf(w, "and %d more failed: -o json has all\n", len(failures)-i)
			break
		}
		fmt.Fprintf(w, "failed %s: %s\n", f.Tenant, oneLine(f.Error))
	}
}
