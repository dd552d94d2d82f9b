package ctl

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// tenantView is the JSON form of a tenant.
type tenantView struct {
	ID          tenant.ID       `json:"id"`
	State       tenant.State    `json:"state"`
	Tier        tenant.Tier     `json:"tier"`
	Shard       string          `json:"shard"`
	Region      string          `json:"region"`
	Schema      string          `json:"schema"`
	Version     int64           `json:"version"`
	Epoch       int64           `json:"epoch"`
	Attributes  json.RawMessage `json:"attributes"`
	Role        string          `json:"role,omitempty"`
	Names       []nameView      `json:"names,omitempty"`   // of get
	Archive     *archiveView    `json:"archive,omitempty"` // of get
	DeleteAfter *time.Time      `json:"delete_after,omitempty"`
	CreatedAt   *time.Time      `json:"created_at,omitempty"` // none of what would be made
	UpdatedAt   *time.Time      `json:"updated_at,omitempty"`
}

func viewTenant(t tenant.Tenant) tenantView {
	return tenantView{
		ID: t.ID, State: t.State, Tier: t.Tier, Schema: t.Schema, Version: t.Version,
		Shard: t.Placement.Shard, Region: t.Placement.Region, Epoch: t.Placement.Epoch, Role: t.Role,
		Attributes:  json.RawMessage(t.Attributes.String()),
		DeleteAfter: moment(t.DeleteAfter), CreatedAt: moment(t.CreatedAt), UpdatedAt: moment(t.UpdatedAt),
	}
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// nameView is the JSON form of a name.
type nameView struct {
	Kind string `json:"kind"` // host, alias, id or schema (former ones)
	Name string `json:"name"`
}

func viewNames(names []registry.Name) []nameView {
	views := make([]nameView, len(names))
	for i, n := range names {
		views[i] = nameView{n.Kind(), n.Text()}
	}
	return views
}

// shardView is the JSON form of a shard. Its DSNs hold no passwords.
type shardView struct {
	Name     string   `json:"name"`
	Region   string   `json:"region"`
	Primary  string   `json:"primary"`
	Replicas []string `json:"replicas"`
}

func viewShard(s tenant.Shard) *shardView {
	v := &shardView{Name: s.Name, Region: s.Region, Primary: tenant.RedactDSN(s.Primary), Replicas: []string{}}
	for _, r := range s.Replicas {
		v.Replicas = append(v.Replicas, tenant.RedactDSN(r))
	}
	return v
}

// change is the JSON form of what was done, or with --dry-run would be.
type change struct {
	Action string      `json:"action"`
	DryRun bool        `json:"dry_run"`
	Tenant *tenantView `json:"tenant,omitempty"` // as it is, or was if it is gone
	Shard  *shardView  `json:"shard,omitempty"`
	Names  []nameView  `json:"names,omitempty"`
	// Archive is the file that was written, or read.
	Archive *archiveView `json:"archive,omitempty"`
}

// changed reports a change: its action is a participle that fits behind subject, and
// before detail.
func (a *app) changed(c change, subject, detail string) error {
	c.DryRun = a.dryRun
	return a.show(c, func(w io.Writer) {
		switch {
		case a.dryRun:
			fmt.Fprintf(w, "%s would be %s%s\n", subject, c.Action, detail)
		case !a.quiet:
			fmt.Fprintf(w, "%s %s%s\n", subject, c.Action, detail)
		}
	})
}

// changedTenant reports a change of a tenant.
func (a *app) changedTenant(action string, t tenant.Tenant, detail string) error {
	v := viewTenant(t)
	return a.changed(change{Action: action, Tenant: &v}, "tenant "+string(t.ID), detail)
}
