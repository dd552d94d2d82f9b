package registry

// roleQueries are the statements about database roles.
type roleQueries struct {
	insertWithRole, taken, giveRole, withoutRole string
	freeRoles, unmadeRoles, addRoles, madeRoles  string
	releasedRoles, judgeRoles, spoilRole         string
	openLogin, addLogin, password                string
}

func newRoleQueries(expand func(string) string) roleQueries {
	return roleQueries{
		insertWithRole: expand(`INSERT INTO {tenants} (id, schema_name, state, tier, shard, region, origin, attributes, recipe, role, login)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, r.name, r.login
			FROM (SELECT name, login FROM {roles} WHERE shard = $5 AND state = 'free' LIMIT 1 FOR UPDATE SKIP LOCKED) r
			WHERE NOT EXISTS (SELECT FROM {names} WHERE kind = 'id' AND name = $1 OR kind = 'schema' AND name = $5 || '/' || $2)
			ON CONFLICT DO NOTHING RETURNING {columns}`),
		taken: expand(`SELECT EXISTS (SELECT FROM {tenants} WHERE id = $1 OR shard = $3 AND schema_name = $2)
			OR EXISTS (SELECT FROM {names} WHERE kind = 'id' AND name = $1 OR kind = 'schema' AND name = $3 || '/' || $2)`),
		giveRole: expand(`UPDATE {tenants} SET role = r.given, login = r.taker, updated_at = now()
			FROM (SELECT name, login FROM {roles} WHERE shard = (SELECT shard FROM {tenants} WHERE id = $1) AND state = 'free'
				LIMIT 1 FOR UPDATE SKIP LOCKED) r (given, taker)
			WHERE id = $1 AND role = '' RETURNING {columns}`),
		withoutRole: expand("SELECT id FROM {tenants} WHERE role = '' AND state IN ('active', 'suspended') AND id > $1 ORDER BY id LIMIT $2"),
		freeRoles:   expand("SELECT count(*) FROM {roles} WHERE shard = $1 AND state = 'free'"),
		unmadeRoles: expand(`SELECT l.name, l.password, array_agg(r.name) FROM {roles} r JOIN {logins} l ON l.name = r.login
			WHERE r.shard = $1 AND r.state = 'making' GROUP BY l.name LIMIT 1`),
		addRoles:  expand("INSERT INTO {roles} (name, shard, login) SELECT n, $2, $3 FROM unnest($1::text[]) n"),
		madeRoles: expand("UPDATE {roles} SET state = 'free' WHERE shard = $1 AND name = ANY ($2::text[]) AND state = 'making'"),
		releasedRoles: expand(`SELECT name FROM {roles} WHERE shard = $1 AND state = 'released'
			AND released_at < now() - make_interval(secs => $2::float8) ORDER BY released_at LIMIT $3`),
		judgeRoles: expand(`UPDATE {roles} SET state = CASE WHEN name = ANY ($2::text[]) THEN 'free' ELSE 'spoiled' END
			WHERE name = ANY ($1::text[]) AND state = 'released'`),
		spoilRole: expand("UPDATE {roles} SET state = 'spoiled' WHERE name = $1 AND state IN ('free', 'released')"),
		openLogin: expand(`SELECT l.name, l.password FROM (SELECT name, password FROM {logins} WHERE shard = $1 ORDER BY created_at DESC LIMIT 1) l
			WHERE (SELECT count(*) FROM {roles} WHERE login = l.name) <= $2`),
		addLogin: expand("INSERT INTO {logins} (name, shard, password) VALUES ($1, $2, $3)"),
		password: expand("SELECT password FROM {logins} WHERE shard = $1 AND name = $2"),
	}
}
