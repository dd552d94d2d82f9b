package doctor

import (
	"fmt"
	"strings"
	"time"

	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// sighting is a schema with a mark.
type sighting struct {
	*ward
	*schema
}

// place finds each tenant's schema, and each schema's tenant.
func (x *exam) place() {
	marked := map[string][]sighting{}
	for _, w := range x.wards {
		for i := range w.schemas {
			if s := &w.schemas[i]; s.mark != "" {
				marked[s.mark] = append(marked[s.mark], sighting{w, s})
			}
		}
	}
	for _, p := range x.patients {
		x.placeOne(p, marked[p.Mark])
		delete(marked, p.Mark)
	}
	for _, all := range marked {
		for _, s := range all {
			if s.bySchema[s.schema.Name] == nil {
				x.orphan(s)
			}
		}
	}
	for _, w := range x.wards {
		w.unclaimed()
	}
}

// placeOne finds one tenant's. seen are the schemas with its mark.
func (x *exam) placeOne(p *patient, seen []sighting) {
	w := x.wards[p.Placement.Shard]
	if w == nil || w.err != nil {
		return
	}
	here := w.byName[p.Schema]
	if p.State == tenant.StateProvisioning {
		if age := time.Since(p.UpdatedAt); age > x.opts.StuckAfter {
			f := p.about(StuckProvisioning, fmt.Sprintf("it is being provisioned since %s", p.UpdatedAt.Format(time.RFC3339)),
				"undo the creation (its row, and the schema that was made for it), or create it again: that goes on")
			f.Fixable = true
			x.find(f)
		}
		return
	}
	for _, s := range seen {
		if s.ward != w || s.schema != here {
			x.elsewhere(p, s, here != nil)
		}
	}
	switch {
	case here == nil && p.State != tenant.StateArchived && len(seen) == 0:
		x.find(p.about(MissingSchema, "its schema is on no shard that was examined"+x.others(),
			"restore the schema from a backup, or delete the tenant: tenantctl tenant delete "+string(p.ID)))
	case here != nil && p.State == tenant.StateArchived && (p.Mark == "" || here.mark == p.Mark):
		x.find(p.about(ArchivedSchema, "it is archived, and its schema is still there",
			"finish what was begun: archive it again, or, if it was to be deleted, delete it again"))
	case here != nil && here.mark != "" && p.Mark != "" && here.mark != p.Mark:
		x.find(p.about(ForeignSchema, fmt.Sprintf("its schema says that it was made for another tenant or by another registry: %q", here.comment),
			fmt.Sprintf("find out whose it is; if it is this tenant's: COMMENT ON SCHEMA %s IS NULL", tenant.QuoteIdent(p.Schema))))
	}
	if here != nil && p.State != tenant.StateArchived && (p.wanted || x.opts.Set == nil) {
		p.oid = here.OID
		x.total++
	}
}

// elsewhere tells of a schema that has the mark of a tenant, and is not where the
// tenant's row says. A tenant that is being moved has two.
func (x *exam) elsewhere(p *patient, s sighting, another bool) {
	if p.State == tenant.StateMoving {
		return
	}
	place := fmt.Sprintf("shard %s, schema %s", s.ward.Name, tenant.QuoteIdent(s.schema.Name))
	var f Finding
	switch {
	case another:
		f = p.about(DuplicateSchema, "a second schema has its mark: "+place,
			"find out which one is served; then on the other's shard: DROP SCHEMA "+tenant.QuoteIdent(s.schema.Name)+" CASCADE")
	case s.ward.Name == p.Placement.Shard:
		f = p.about(WrongSchema, "its row says "+tenant.QuoteIdent(p.Schema)+", and its mark is on "+place,
			fmt.Sprintf("ALTER SCHEMA %s RENAME TO %s", tenant.QuoteIdent(s.schema.Name), tenant.QuoteIdent(p.Schema)))
	default:
		f = p.about(WrongShard, "its row says shard "+p.Placement.Shard+", and its schema is on "+place,
			"find out how it got there; then put the row right, or move the schema back with pg_dump")
	}
	f.Shard, f.Schema = s.ward.Name, s.schema.Name
	x.find(f)
}

func (x *exam) orphan(s sighting) {
	id, _, _ := registry.ParseMark(s.comment)
	name := tenant.QuoteIdent(s.schema.Name)
	x.find(Finding{
		Kind: OrphanSchema, Shard: s.ward.Name, Schema: s.schema.Name,
		Detail: fmt.Sprintf("it was made for tenant %s, and no tenant has it", id),
		Remedy: fmt.Sprintf("if another registry does not know it: give it a tenant with COMMENT ON SCHEMA %s IS NULL and tenantctl tenant adopt, or DROP SCHEMA %s CASCADE", name, name),
	})
}

// unclaimed looks at the schemas that are nobody's.
func (w *ward) unclaimed() {
	for _, s := range w.schemas {
		if w.bySchema[s.Name] != nil || s.mark != "" {
			continue
		}
		if !strings.HasPrefix(s.Name, migrations.ScratchPrefix) {
			w.Unclaimed++
			continue
		}
		at, known := migrations.ScratchSince(s.comment)
		if known && time.Since(at) < w.exam.opts.ScratchAfter {
			continue
		}
		f := Finding{
			Kind: LeftoverScratch, Shard: w.Name, Schema: s.Name, Fixable: known, Detail: "migrations were tried in it, and nobody dropped it",
			Remedy: "DROP SCHEMA " + tenant.QuoteIdent(s.Name) + " CASCADE",
		}
		if known {
			f.Detail += ", since " + at.Format(time.RFC3339)
		}
		w.exam.find(f)
	}
}

// others tells how many shards were not examined.
func (x *exam) others() string {
	n := x.unseen
	for _, s := range x.wards {
		if s.err != nil {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %d were not", n)
}
