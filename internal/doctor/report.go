package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gormtenancy/gormtenancy/internal/structure"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Kind is what is wrong.
type Kind string

// The kinds of findings.
const (
	// Drift: the schema is not made like the reference of its version.
	Drift Kind = "drift"
	// Behind: the tenant's version is below the target.
	Behind Kind = "behind"
	// VersionMismatch: the registry says another version than goose's table.
	VersionMismatch Kind = "version_mismatch"
	// Unversioned: the registry says a version that is no models', and there is no goose
	// table.
	Unversioned Kind = "unversioned"
	// MissingSchema: a row without schema, on any shard that was examined.
	MissingSchema Kind = "missing_schema"
	// WrongShard: the tenant's schema is on another shard than its row says.
	WrongShard Kind = "wrong_shard"
	// WrongSchema: on the right shard, under another name.
	WrongSchema Kind = "wrong_schema"
	// DuplicateSchema: a second schema has the tenant's mark.
	DuplicateSchema Kind = "duplicate_schema"
	// ForeignSchema: the tenant's schema has another tenant's mark.
	ForeignSchema Kind = "foreign_schema"
	// OrphanSchema: a schema with a tenant's mark, and no row.
	OrphanSchema Kind = "orphan_schema"
	// ArchivedSchema: the tenant is archived, and its schema is still there.
	ArchivedSchema Kind = "archived_schema"
	// StuckProvisioning: a creation that ended halfway.
	StuckProvisioning Kind = "stuck_provisioning"
	// LeftoverScratch: a schema in which migrations were tried was not dropped.
	LeftoverScratch Kind = "leftover_scratch"
	// Unreadable: the schema's structure could not be read.
	Unreadable Kind = "unreadable"
)

// Finding is one thing that is not as it ought to be.
type Finding struct {
	Kind   Kind      `json:"kind"`
	Tenant tenant.ID `json:"tenant,omitempty"`
	// Shard and Schema are where it was found.
	Shard  string `json:"shard"`
	Schema string `json:"schema"`
	// Detail is a clause for people.
	Detail string `json:"detail"`
	// Registered is the version in the registry, Version the tenant's own.
	Registered int64 `json:"registered,omitempty"`
	Version    int64 `json:"version,omitempty"`
	// Differences are a Drift's. Findings may share them.
	Differences []structure.Difference `json:"differences,omitempty"`
	// Fixable is whether Fix mends it.
	Fixable bool `json:"fixable"`
	// Remedy is what mends it: done by Fix if Fixable, by hand otherwise.
	Remedy string `json:"remedy"`
}

// String is a line for people.
func (f Finding) String() string {
	who := "schema " + f.Schema
	if f.Tenant != "" {
		who = "tenant " + string(f.Tenant)
	}
	return fmt.Sprintf("%s, shard %s: %s: %s", who, f.Shard, f.Kind, f.Detail)
}

// Source is where a reference comes from.
type Source string

// The sources.
const (
	FromMigrations Source = "migrations"
	FromTenant     Source = "tenant"
	FromMajority   Source = "majority"
)

// Reference is what the tenants of one version were compared with.
type Reference struct {
	Version     int64     `json:"version"`
	Source      Source    `json:"source"`
	Tenant      tenant.ID `json:"tenant,omitempty"`
	Fingerprint string    `json:"fingerprint"`
	// Tenants have the version, and Alike of them the reference's structure.
	Tenants int `json:"tenants"`
	Alike   int `json:"alike"`
	// Note tells why it is not the migrations' where these were given.
	Note string `json:"note,omitempty"`
}

// Shard is what was seen of a shard.
type Shard struct {
	Name string `json:"name"`
	// Server is PostgreSQL's major version, 0 if it was not reached.
	Server int `json:"server,omitempty"`
	// Tenants have their place there, and Examined of them were read.
	Tenants  int `json:"tenants"`
	Examined int `json:"examined"`
	// Schemas are all but PostgreSQL's own; Unclaimed are those of nobody, without a
	// mark: the application's shared ones, for instance.
	Schemas   int `json:"schemas"`
	Unclaimed int `json:"unclaimed"`
	// Error is why the shard, or the rest of it, was not examined.
	Error string `json:"error,omitempty"`
}

// Report is what an examination has found, each list in an order of its own that
// depends on what it holds only.
type Report struct {
	Tenants  int `json:"tenants"`  // that were selected, archived ones included
	Examined int `json:"examined"` // whose structure was read
	Archived int `json:"archived"` // that have none
	// Target is the version below which tenants are Behind.
	Target     int64       `json:"target"`
	Shards     []Shard     `json:"shards"`
	References []Reference `json:"references"`
	Findings   []Finding   `json:"findings"`
	// Seconds is how long it took.
	Seconds float64 `json:"duration_seconds"`
}

// Healthy reports whether everything was examined, and nothing found.
func (r *Report) Healthy() bool {
	return len(r.Findings) == 0 && !slices.ContainsFunc(r.Shards, func(s Shard) bool { return s.Error != "" })
}

// Count returns how many findings there are of a kind.
func (r *Report) Count(k Kind) int {
	n := 0
	for _, f := range r.Findings {
		if f.Kind == k {
			n++
		}
	}
	return n
}

func (r *Report) sort() {
	slices.SortFunc(r.Shards, func(a, b Shard) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(r.References, func(a, b Reference) int { return cmp.Compare(a.Version, b.Version) })
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.Schema, b.Schema))
	})
}

// PartialError is an examination that could not see everything. errors.Is and errors.As
// reach each cause.
type PartialError struct {
	Report *Report
	// Shards are the causes, by shard.
	Shards map[string]error
	// Unreadable counts the schemas that could not be read.
	Unreadable int
}

// Error names the shards.
func (e *PartialError) Error() string {
	var parts []string
	for _, s := range e.Report.Shards {
		if err := e.Shards[s.Name]; err != nil {
			parts = append(parts, err.Error())
		}
	}
	if e.Unreadable > 0 {
		parts = append(parts, fmt.Sprintf("%d schemas could not be read", e.Unreadable))
	}
	return fmt.Sprintf("doctor: %d of %d tenants were examined: %s", e.Report.Examined, e.Report.Tenants, strings.Join(parts, "; "))
}

// Unwrap returns the causes.
func (e *PartialError) Unwrap() []error {
	var all []error
	for _, s := range e.Report.Shards {
		if err := e.Shards[s.Name]; err != nil {
			all = append(all, err)
		}
	}
	return all
}

func since(begun time.Time) float64 { return time.Since(begun).Round(time.Millisecond).Seconds() }
