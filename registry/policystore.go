package registry

// policyQueries are the control plane's statements about limits and quarantine.
type policyQueries struct {
	setTierLimits, clearTierLimits, setLimits, clearLimits, setLane, clearLane string
	tierLimits, tenantLimits, lane, inForce, full                              string
	quarantineOf, quarantine, release, quarantined, lockLane, laneUse          string
	putSizes, sizes, schemas, storage, sizesAge                                string
}

const quarantineColumns = "q.tenant, t.shard, q.since, q.until, coalesce(q.released_at, '-infinity'), q.relapses, q.dry_run, q.reason, q.finding"

func newPolicyQueries(expand func(string) string) policyQueries {
	return policyQueries{
		setTierLimits: expand(`INSERT INTO {tier_limits} AS l (tier, limits) VALUES ($1, $2)
			ON CONFLICT (tier) DO UPDATE SET limits = excluded.limits, updated_at = now() WHERE l.limits <> excluded.limits`),
		clearTierLimits: expand("DELETE FROM {tier_limits} WHERE tier = $1"),
		setLimits: expand(`INSERT INTO {tenant_limits} AS l (tenant, limits) SELECT id, $2 FROM {tenants} WHERE id = $1 AND state <> 'spare'
			ON CONFLICT (tenant) DO UPDATE SET limits = excluded.limits, updated_at = now()`),
		clearLimits:  expand("DELETE FROM {tenant_limits} WHERE tenant = $1"),
		setLane:      expand("INSERT INTO {lanes} (limits) VALUES ($1) ON CONFLICT (one) DO UPDATE SET limits = excluded.limits, updated_at = now()"),
		clearLane:    expand("DELETE FROM {lanes}"),
		tierLimits:   expand("SELECT tier, limits FROM {tier_limits}"),
		tenantLimits: expand("SELECT tenant, limits FROM {tenant_limits}"),
		lane:         expand("SELECT limits FROM {lanes}"),
		inForce:      expand("SELECT tenant, until, dry_run, reason, relapses FROM {quarantines} WHERE until > now() AND released_at IS NULL"),
		// What is no number, a hand's work, is no limit, and keeps nobody from the policy.
		full: expand(`WITH own AS (SELECT tenant, limits -> 'storage_bytes' AS v FROM {tenant_limits} WHERE limits ? 'storage_bytes'),
			lowest AS (SELECT min(v::numeric) FROM (SELECT v FROM own UNION ALL SELECT limits -> 'storage_bytes' FROM {tier_limits}) x (v)
				WHERE CASE jsonb_typeof(v) WHEN 'number' THEN v::numeric > 0 ELSE false END)
			SELECT s.tenant, s.bytes FROM {sizes} s JOIN {tenants} t ON t.id = s.tenant LEFT JOIN own ON own.tenant = t.id
				LEFT JOIN {tier_limits} l ON l.tier = t.tier LEFT JOIN {tier_limits} d ON d.tier = '*',
				LATERAL (SELECT CASE WHEN own.tenant IS NOT NULL THEN own.v ELSE coalesce(l.limits, d.limits) -> 'storage_bytes' END) AS x (v)
			WHERE s.bytes >= (SELECT * FROM lowest)
				AND CASE jsonb_typeof(x.v) WHEN 'number' THEN x.v::numeric > 0 AND s.bytes >= x.v::numeric ELSE false END`),
		quarantineOf: expand("SELECT " + quarantineColumns + " FROM {tenants} t JOIN {quarantines} q ON q.tenant = t.id WHERE t.id = $1"),
		quarantine: expand(`INSERT INTO {quarantines} (tenant, since, until, relapses, dry_run, reason, finding)
			VALUES ($1, $7::timestamptz, $7::timestamptz + make_interval(secs => $2::float8), $3, $4, $5, $6)
			ON CONFLICT (tenant) DO UPDATE SET since = excluded.since, until = excluded.until, released_at = NULL,
				relapses = excluded.relapses, dry_run = excluded.dry_run, reason = excluded.reason, finding = excluded.finding`),
		release:     expand("UPDATE {quarantines} SET released_at = now() WHERE tenant = $1 AND until > now() AND released_at IS NULL"),
		quarantined: expand("SELECT " + quarantineColumns + " FROM {quarantines} q JOIN {tenants} t ON t.id = q.tenant WHERE $1 OR q.until > now() AND q.released_at IS NULL ORDER BY q.since DESC, q.tenant"),
		// The lock, and then the time, which is the database's.
		lockLane: "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))::text, clock_timestamp()",
		laneUse: expand(`SELECT (SELECT count(*) FROM {tenants} WHERE shard = $1 AND state = 'active'),
			(SELECT count(*) FROM {quarantines} q JOIN {tenants} t ON t.id = q.tenant
				WHERE t.shard = $1 AND q.until > now() AND q.released_at IS NULL AND NOT q.dry_run)`),
		putSizes: expand(`INSERT INTO {sizes} AS s (tenant, bytes) SELECT t.id, u.bytes
			FROM unnest($2::text[], $3::bigint[]) u (schema_name, bytes) JOIN {tenants} t ON t.shard = $1 AND t.schema_name = u.schema_name
			ON CONFLICT (tenant) DO UPDATE SET bytes = excluded.bytes, measured_at = now()`),
		sizes: expand(`SELECT s.tenant, t.shard, s.bytes, s.measured_at FROM {sizes} s JOIN {tenants} t ON t.id = s.tenant
			WHERE ($1 = '' OR s.tenant = $1) AND ($2 = '' OR t.shard = $2) ORDER BY s.bytes DESC, s.tenant LIMIT $3`),
		schemas: expand(`SELECT schema_name FROM {tenants} WHERE shard = $1 AND state IN ('active', 'suspended', 'moving')
			AND schema_name > $2 ORDER BY schema_name LIMIT $3`),
		storage: expand(`SELECT EXISTS (SELECT FROM {tier_limits} WHERE limits ? 'storage_bytes')
			OR EXISTS (SELECT FROM {tenant_limits} WHERE limits ? 'storage_bytes')`),
		sizesAge: expand("SELECT extract(epoch FROM now() - max(measured_at))::float8 FROM {sizes}"),
	}
}
