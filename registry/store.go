package registry

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/gormtenancy/gormtenancy/migrations"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// record is a tenant's row.
type record struct {
	tenant.Tenant
	origin  string // the mark of the schema that was made for it, empty if adopted
	attempt int64
}

// mark is the comment on the schema that was made for this row. Once the tenant
// was renamed, it still names the ID that it had then.
func (rec *record) mark() string { return markPrefix + string(rec.ID) + " " + rec.origin }

// marked reports whether a schema's comment is this row's mark.
func (rec *record) marked(comment string) bool {
	return rec.origin != "" && strings.HasPrefix(comment, markPrefix) && strings.HasSuffix(comment, " "+rec.origin)
}

const markPrefix = "gormtenancy tenant "

// queries are the control plane's statements. Every name in them is qualified,
// so that no search path matters.
type queries struct {
	get, list, insert, takeOver, activate, remove, retire string
	suspend, resume                                       string
	setTier, setAttributes                                string
	events, trimEvents                                    string
	fingerprint                                           string
	spareQueries
	nameQueries
	fleetQueries
	endQueries
	roleQueries
	policyQueries
	usageQueries
	watchQueries
}

const columns = "id, schema_name, state, tier, shard, region, epoch, version, " +
	"attributes::text, coalesce(delete_after, '-infinity'), role, login, origin, attempt, created_at, updated_at"

func newQueries(schema string) queries {
	var tables []string
	for _, name := range []string{
		"tier_limits", "tenant_limits", "lanes", "quarantines", "sizes", "usage", "usage_batches", "findings", "processes",
	} {
		tables = append(tables, "{"+name+"}", tenant.QuoteIdent(schema)+"."+name)
	}
	expand := strings.NewReplacer(append(tables,
		"{migrations}", tenant.QuoteIdent(schema)+"."+migrations.Table,
		"{tenants}", tenant.QuoteIdent(schema)+".tenants",
		"{shards}", tenant.QuoteIdent(schema)+".shards",
		"{names}", tenant.QuoteIdent(schema)+".names",
		"{events}", tenant.QuoteIdent(schema)+".events",
		"{recipes}", tenant.QuoteIdent(schema)+".recipes",
		"{roles}", tenant.QuoteIdent(schema)+".roles",
		"{logins}", tenant.QuoteIdent(schema)+".logins",
		"{columns}", columns,
		"{restorable}", restorable,
		"{was}", "CASE WHEN delete_after IS NULL THEN archive ->> 'was' ELSE 'suspended' END",
	)...).Replace
	return queries{
		get:  expand("SELECT {columns} FROM {tenants} WHERE id = $1"),
		list: expand("SELECT {columns} FROM {tenants}"),
		// A former ID or schema of another tenant is taken.
		insert: expand(`INSERT INTO {tenants} (id, schema_name, state, tier, shard, region, origin, attributes, recipe)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 WHERE NOT EXISTS (SELECT FROM {names}
				WHERE kind = 'id' AND name = $1 OR kind = 'schema' AND name = $5 || '/' || $2)
			ON CONFLICT DO NOTHING RETURNING {columns}`),
		takeOver: expand(`UPDATE {tenants} SET attempt = attempt + 1, updated_at = now()
			WHERE id = $1 AND state = 'provisioning' AND origin <> ''
			AND updated_at <= now() - make_interval(secs => $2::float8) RETURNING {columns}`),
		activate: expand(`UPDATE {tenants} SET state = 'active', version = $4, updated_at = now()
			WHERE id = $1 AND state = 'provisioning' AND origin = $2 AND attempt = $3 RETURNING {columns}`),
		remove: expand("DELETE FROM {tenants} WHERE id = $1 AND origin = $2 AND attempt = $3 RETURNING {columns}"),
		// A tenant that is being archived is suspended already: it is to stay so.
		suspend: expand(`UPDATE {tenants} SET state = 'suspended', archive = archive || '{"was": "suspended"}', updated_at = now()
			WHERE id = $1 AND (state = 'active' OR state = 'suspended' AND archive ->> 'was' = 'active') RETURNING {columns}`),
		resume: expand(`UPDATE {tenants} SET state = 'active', archive = NULL, updated_at = now()
			WHERE id = $1 AND state = 'suspended' AND delete_after IS NULL RETURNING {columns}`),
		setTier:       expand("UPDATE {tenants} SET tier = $2, updated_at = now() WHERE id = $1 RETURNING {columns}"),
		setAttributes: expand("UPDATE {tenants} SET attributes = $2, updated_at = now() WHERE id = $1 RETURNING {columns}"),
		events:        expand("SELECT id, at, tenant, object, action, actor, db_user, before, after FROM {events}"),
		trimEvents:    expand("DELETE FROM {events} WHERE at < $1"),
		// A row that is still being provisioned keeps its state, which says
		// that its schema may be somebody else's. What was archived in full has no
		// schema.
		retire: expand(`UPDATE {tenants} SET attempt = attempt + 1, updated_at = now(),
			state = CASE state WHEN 'provisioning' THEN state ELSE 'archived' END,
			archive = CASE WHEN archive ->> 'phase' IN ('dropped', 'deleting') THEN archive
				ELSE archive || jsonb_build_object('phase', 'deleting', 'half', archive ->> 'phase' = 'restoring') END
			WHERE id = $1 AND state <> 'moving' AND ($2 OR delete_after <= now()) RETURNING {columns}`),
		fingerprint: expand(`SELECT concat_ws(' ', extract(epoch FROM min(m.tstamp)),
			(SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()),
			(SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1),
			inet_server_addr(), inet_server_port()) FROM {migrations} m`),
		spareQueries: newSpareQueries(expand),
		nameQueries:  newNameQueries(expand),
		fleetQueries: newFleetQueries(expand),
		endQueries:   newEndQueries(expand),
		roleQueries:  newRoleQueries(expand),

		policyQueries: newPolicyQueries(expand),
		usageQueries:  newUsageQueries(expand),
		watchQueries:  newWatchQueries(expand),
	}
}

// scan reads a row of columns. What the control plane holds is checked again
// like what comes from outside: names from here are spliced into statements.
func scan(row pgx.CollectableRow) (record, error) {
	var rec record
	t := &rec.Tenant
	var deleteAfter pgtype.Timestamptz
	err := row.Scan(&t.ID, &t.Schema, &t.State, &t.Tier, &t.Placement.Shard, &t.Placement.Region,
		&t.Placement.Epoch, &t.Version, &t.Attributes, &deleteAfter, &t.Role, &t.Login, &rec.origin, &rec.attempt, &t.CreatedAt, &t.UpdatedAt)
	if err != nil {
		return record{}, err
	}
	if t.Attributes == "{}" {
		t.Attributes = ""
	}
	if deleteAfter.InfinityModifier == pgtype.Finite {
		t.DeleteAfter = deleteAfter.Time.UTC()
	}
	t.CreatedAt, t.UpdatedAt = t.CreatedAt.UTC(), t.UpdatedAt.UTC()
	if err := check(t); err != nil {
		return record{}, fmt.Errorf("row of tenant %s: %w", t.ID, err)
	}
	return rec, nil
}

func scanTenant(row pgx.CollectableRow) (tenant.Tenant, error) {
	rec, err := scan(row)
	return rec.Tenant, err
}

// check refuses a tenant whose names may not be spliced into statements.
func check(t *tenant.Tenant) error {
	_, err := tenant.ParseSchema(t.Schema)
	if t.Role == "" && t.Login == "" || err != nil {
		return err
	}
	for _, name := range []string{t.Role, t.Login} {
		if _, err := tenant.ParseRole(name); err != nil {
			return err
		}
	}
	return nil
}

// one returns the only row of a query, nil if there is none.
func one(rows pgx.Rows, err error) (*record, error) {
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, scan)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}
