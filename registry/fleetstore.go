package registry

// fleetQueries are the control plane's statements about shards and versions.
type fleetQueries struct {
	shards, upsertShard, removeShard, lockShards, addHome, countTenants string
	lagging, census, setVersions, recipeVersion, recipeVersions         string
}

func newFleetQueries(expand func(string) string) fleetQueries {
	return fleetQueries{
		shards: expand("SELECT name, region, primary_dsn, replica_dsns FROM {shards} ORDER BY name"),
		upsertShard: expand(`INSERT INTO {shards} AS s (name, region, primary_dsn, replica_dsns) VALUES ($1, $2, $3, $4)
			ON CONFLICT (name) DO UPDATE SET region = excluded.region, primary_dsn = excluded.primary_dsn,
				replica_dsns = excluded.replica_dsns, updated_at = now()
			WHERE (s.region, s.primary_dsn, s.replica_dsns)
				IS DISTINCT FROM (excluded.region, excluded.primary_dsn, excluded.replica_dsns)`),
		removeShard:  expand("DELETE FROM {shards} WHERE name = $1"),
		lockShards:   expand("LOCK TABLE {shards} IN SHARE ROW EXCLUSIVE MODE"),
		addHome:      expand("INSERT INTO {shards} (name, region) SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM {shards})"),
		countTenants: expand("SELECT count(*) FROM {tenants} WHERE shard = $1"),
		lagging: expand(`SELECT {columns} FROM {tenants} WHERE version %s $1 AND (version, id) > ($2, $3)
			AND state <> 'archived' ORDER BY version, id LIMIT $4`),
		census: expand("SELECT shard, version, count(*) FROM {tenants} WHERE state <> 'archived' GROUP BY 1, 2 ORDER BY 1, 2"),
		setVersions: expand(`UPDATE {tenants} t SET version = u.v, updated_at = now()
			FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u (shard, name, v)
			WHERE t.shard = u.shard AND t.schema_name = u.name AND t.version <> u.v`),
		recipeVersion: expand(`WITH known AS (SELECT version FROM {recipes} WHERE name = $1),
			made AS (INSERT INTO {recipes} (name) SELECT $1 WHERE NOT EXISTS (SELECT FROM known) ON CONFLICT DO NOTHING RETURNING version)
			SELECT version FROM known UNION ALL SELECT version FROM made`),
		recipeVersions: expand("SELECT version FROM {recipes}"),
	}
}
