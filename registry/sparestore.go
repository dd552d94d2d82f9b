package registry

// spareQueries are the control plane's statements about tenants that are made ahead.
type spareQueries struct {
	takeSpare, countSpares, putAside, oldSpares, discardSpare string
}

func newSpareQueries(expand func(string) string) spareQueries {
	return spareQueries{
		takeSpare: expand(`UPDATE {tenants} SET id = $1, state = 'active', tier = $2, attributes = $3, created_at = now(), updated_at = now()
			WHERE id = (SELECT id FROM {tenants} WHERE state = 'spare' AND shard = $4 AND recipe = $5 LIMIT 1 FOR UPDATE SKIP LOCKED)
				AND NOT EXISTS (SELECT FROM {names} WHERE kind = 'id' AND name = $1) RETURNING {columns}`),
		countSpares: expand("SELECT count(*) FROM {tenants} WHERE state = 'spare' AND shard = $1 AND recipe = $2"),
		putAside: expand(`UPDATE {tenants} SET state = 'spare', version = $4, updated_at = now()
			WHERE id = $1 AND state = 'provisioning' AND origin = $2 AND attempt = $3 RETURNING {columns}`),
		oldSpares: expand(`SELECT id FROM {tenants} WHERE origin LIKE 'spare.%' AND
			(state = 'spare' AND recipe <> $1 AND updated_at < now() - make_interval(secs => $2::float8)
			OR state = 'provisioning' AND updated_at < now() - make_interval(secs => $3::float8))`),
		discardSpare: expand(`UPDATE {tenants} SET state = 'provisioning', attempt = attempt + 1
			WHERE id = $1 AND state IN ('spare', 'provisioning') AND origin LIKE 'spare.%' RETURNING {columns}`),
	}
}
