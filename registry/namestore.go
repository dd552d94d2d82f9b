package registry

// nameQueries are the control plane's statements about what tenants are and were called.
type nameQueries struct {
	rename, dropFormer, addFormer, reserve, schemaTaken, setSchema string
	addName, removeName, names, byName                             string
}

func newNameQueries(expand func(string) string) nameQueries {
	return nameQueries{
		rename: expand(`UPDATE {tenants} SET id = $2, updated_at = now()
			WHERE id = $1 AND state IN ('active', 'suspended') RETURNING {columns}`),
		dropFormer: expand("DELETE FROM {names} WHERE kind = $1 AND name = $2 AND tenant = $3"),
		addFormer:  expand("INSERT INTO {names} (kind, name, tenant) VALUES ($1, $2, $3)"),
		reserve:    expand(`INSERT INTO {names} (kind, name, tenant) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`),
		schemaTaken: expand(`SELECT EXISTS (SELECT FROM {tenants} WHERE shard = $1 AND schema_name = $2 AND id <> $3)
			OR EXISTS (SELECT FROM {names} WHERE kind = 'schema' AND name = $1 || '/' || $2 AND tenant <> $3)`),
		setSchema: expand(`UPDATE {tenants} SET schema_name = $2, epoch = epoch + 1, updated_at = now()
			WHERE id = $1 AND state = 'suspended' RETURNING {columns}`),
		addName: expand(`INSERT INTO {names} AS n (kind, name, tenant) VALUES ($1, $2, $3)
			ON CONFLICT (kind, name) DO UPDATE SET tenant = n.tenant WHERE n.tenant = excluded.tenant RETURNING tenant`),
		removeName: expand("DELETE FROM {names} WHERE kind = $1 AND name = $2"),
		names:      expand("SELECT kind, name FROM {names} WHERE tenant = $1 ORDER BY kind, name"),
		byName:     expand("SELECT tenant FROM {names} WHERE kind = $1 AND name = $2"),
	}
}
