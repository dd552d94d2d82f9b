package ctl

import (
	"fmt"
	"io"

	"github.com/gormtenancy/gormtenancy/internal/doctor"
)

// diagnosis is the JSON form of what the doctor has found and done.
type diagnosis struct {
	// Healthy is whether all was examined, and nothing found that was not mended.
	Healthy bool `json:"healthy"`
	DryRun  bool `json:"dry_run"`
	doctor.Report
	Fixes []doctor.Fixed `json:"fixes"`
}

// kinds are what can be found, the worst first, in people's words.
var kinds = []struct {
	kind  doctor.Kind
	says  string
	mends string // of a number of them
}{
	{doctor.MissingSchema, "tenants without their schema", ""},
	{doctor.ForeignSchema, "tenants whose schema is marked as another's", ""},
	{doctor.WrongShard, "schemas on another shard than the control plane says", ""},
	{doctor.WrongSchema, "schemas under another name than the control plane says", ""},
	{doctor.DuplicateSchema, "second schemas of a tenant", ""},
	{doctor.Drift, "schemas that are made otherwise than they ought to be", ""},
	{doctor.Unversioned, "schemas that do not tell their version", ""},
	{doctor.VersionMismatch, "tenants of which the control plane has the version wrong", "registers %d versions"},
	{doctor.Behind, "tenants that have not reached the version", ""},
	{doctor.StuckProvisioning, "creations that ended halfway", "undoes %d creations"},
	{doctor.ArchivedSchema, "archived tenants whose schema is still there", ""},
	{doctor.OrphanSchema, "schemas that were made for a tenant, and that no tenant has", ""},
	{doctor.LeftoverScratch, "schemas in which migrations were tried", "drops %d schemas in which migrations were tried"},
	{doctor.Unreadable, "schemas that could not be read", ""},
}

const (
	// shownFindings and shownDifferences bound what people are told of each kind, and of
	// each finding; JSON has all.
	shownFindings    = 10
	shownDifferences = 5
)

func (d *diagnosis) fixable() (n int) {
	for _, f := range d.Findings {
		if f.Fixable {
			n++
		}
	}
	return n
}

// left counts the findings that were not mended.
func (d *diagnosis) left() int {
	n := len(d.Findings)
	for _, f := range d.Fixes {
		if f.Done {
			n--
		}
	}
	return n
}

// verdict returns the error for what is not well. partial is the examination's.
func (d *diagnosis) verdict(partial error) error {
	left := d.left()
	switch {
	case left == 0:
		return partial
	case partial != nil:
		return fmt.Errorf("%w: %d findings; and %w", errFindings, left, partial)
	}
	return fmt.Errorf("%w: %d findings", errFindings, left)
}

// showDiagnosis shows a report without fixes.
func (a *app) showDiagnosis(d *diagnosis) error {
	d.Healthy = d.Report.Healthy()
	return a.show(d, func(w io.Writer) { tellDiagnosis(w, d) })
}

// showFixes shows the fixes, for programs with the report.
func (a *app) showFixes(d *diagnosis) error {
	unseen := false
	for _, s := range d.Shards {
		unseen = unseen || s.Error != ""
	}
	d.Healthy = d.left() == 0 && !unseen
	return a.show(d, func(w io.Writer) {
		fmt.Fprintln(w)
		for _, f := range d.Fixes {
			switch text := cell(f.Finding.String()); {
			case a.dryRun:
				fmt.Fprintf(w, "would be mended: %s: %s\n", text, cell(f.Finding.Remedy))
			case f.Done:
				fmt.Fprintf(w, "mended: %s\n", text)
			default:
				fmt.Fprintf(w, "not mended: %s: %s\n", text, oneLine(f.Error))
			}
		}
		if !a.dryRun {
			fmt.Fprintf(w, "%d findings are left\n", d.left())
		}
	})
}

func tellDiagnosis(w io.Writer, d *diagnosis) {
	t := rows{{"SHARD", "SERVER", "TENANTS", "EXAMINED", "SCHEMAS", "NOBODY'S"}}
	for _, s := range d.Shards {
		t.add(s.Name, s.Server, s.Tenants, s.Examined, s.Schemas, s.Unclaimed)
	}
	t.write(w)
	for _, s := range d.Shards {
		if s.Error != "" {
			fmt.Fprintf(w, "not examined, or not to the end: %s\n", oneLine(s.Error))
		}
	}
	for _, r := range d.References {
		tellReference(w, r)
	}
	for _, k := range kinds {
		tellKind(w, d, k.kind, k.says)
	}
	fmt.Fprintf(w, "\n%d of %d tenants examined", d.Examined, d.Tenants)
	if d.Archived > 0 {
		fmt.Fprintf(w, " (%d are archived)", d.Archived)
	}
	fmt.Fprintf(w, ", in %.1fs: %d findings", d.Seconds, len(d.Findings))
	if n := d.fixable(); n > 0 {
		fmt.Fprintf(w, ", of which --fix mends %d", n)
	}
	fmt.Fprintln(w)
}

func tellReference(w io.Writer, r doctor.Reference) {
	with := "what most of them have"
	switch r.Source {
	case doctor.FromMigrations:
		with = "the migrations"
	case doctor.FromTenant:
		with = "tenant " + string(r.Tenant)
	case doctor.FromMajority:
	}
	fmt.Fprintf(w, "version %d: %d of %d schemas are like %s\n", r.Version, r.Alike, r.Tenants, with)
	if r.Note != "" {
		fmt.Fprintf(w, "  the migrations could not be played: %s\n", oneLine(r.Note))
	}
}

// tellKind writes the findings of a kind, and what mends those that it shows.
func tellKind(w io.Writer, d *diagnosis, kind doctor.Kind, says string) {
	total, shown, remedy := d.Count(kind), 0, ""
	if total == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s: %d %s\n", kind, total, says)
	for _, f := range d.Findings {
		if f.Kind != kind {
			continue
		}
		if shown == shownFindings {
			fmt.Fprintf(w, "  and %d more: -o json has all\n", total-shown)
			break
		}
		shown++
		if r := remedyOf(f); r != remedy { // of those before
			tellRemedy(w, remedy)
			remedy = r
		}
		tellFinding(w, f)
	}
	tellRemedy(w, remedy)
}

func remedyOf(f doctor.Finding) string {
	if f.Fixable {
		return "tenantctl doctor --fix does it: " + f.Remedy
	}
	return f.Remedy
}

func tellFinding(w io.Writer, f doctor.Finding) {
	who := "schema " + f.Schema
	if f.Tenant != "" {
		who = "tenant " + string(f.Tenant)
	}
	fmt.Fprintf(w, "  %s on shard %s: %s\n", cell(who), cell(f.Shard), oneLine(f.Detail))
	for i, diff := range f.Differences {
		if i == shownDifferences {
			fmt.Fprintf(w, "    and %d more\n", len(f.Differences)-i)
			break
		}
		fmt.Fprintf(w, "    %s\n", cell(diff))
	}
}

func tellRemedy(w io.Writer, remedy string) {
	if remedy != "" {
		fmt.Fprintf(w, "  what mends it: %s\n", cell(remedy))
	}
}
