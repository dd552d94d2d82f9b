package registry

import (
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

const (
	// migratingKind begins the notification that a tenant is about to be migrated.
	// The one that follows its new version ends the matter.
	migratingKind = "m"
	// migratingFor is how long it is believed. A runner may have died.
	migratingFor = 5 * time.Minute
)

// hint remembers that a tenant is about to be migrated.
func (r *Registry) hint(id tenant.ID) {
	if _, err := tenant.ParseID(string(id)); err != nil {
		return
	}
	r.migrating.SetDefault(string(id), true)
	r.cache.invalidate(id)
}

// hinted returns t, or a copy that says that it is about to be migrated.
func (r *Registry) hinted(t *tenant.Tenant) *tenant.Tenant {
	if _, is := r.migrating.Get(string(t.ID)); !is {
		return t
	}
	c := *t
	c.Migrating = true
	return &c
}
