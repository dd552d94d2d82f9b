package registry

// endQueries are the control plane's statements for the end of a tenant's life.
type endQueries struct {
	deleteAfter, undelete, due                                        string
	archive, beginArchive, abandonArchive, exported, takeUp, setPhase string
	beginRestore, restored                                            string
}

// restorable are the tenants that Restore brings back.
const restorable = "state = 'archived' AND archive ->> 'phase' IN ('exported', 'dropped', 'restoring')"

func newEndQueries(expand func(string) string) endQueries {
	return endQueries{
		deleteAfter: expand(`UPDATE {tenants} SET state = CASE state WHEN 'active' THEN 'suspended' ELSE state END,
				delete_after = now() + make_interval(secs => $2::float8), updated_at = now()
			WHERE id = $1 AND (state IN ('active', 'suspended') OR {restorable}) RETURNING {columns}`),
		undelete: expand(`UPDATE {tenants} SET delete_after = NULL, updated_at = now()
			WHERE id = $1 AND (state <> 'archived' OR {restorable}) RETURNING {columns}`),
		due: expand(`SELECT id, delete_after FROM {tenants}
			WHERE delete_after <= now() AND (delete_after, id) > ($1, $2) ORDER BY delete_after, id LIMIT $3`),
		archive: expand("SELECT archive::text FROM {tenants} WHERE id = $1"),
		beginArchive: expand(`UPDATE {tenants} SET state = 'suspended', updated_at = now(), archive = jsonb_build_object(
				'phase', 'exporting', 'run', $2::text, 'was', coalesce(archive ->> 'was', state))
			WHERE id = $1 AND state IN ('active', 'suspended') RETURNING {columns}`),
		abandonArchive: expand(`UPDATE {tenants} SET state = {was}, archive = NULL, updated_at = now()
			WHERE id = $1 AND archive ->> 'run' = $2 AND (state, archive ->> 'phase') IN (('suspended', 'exporting'), ('archived', 'exported'))
			RETURNING {columns}`),
		exported: expand(`UPDATE {tenants} SET state = 'archived', updated_at = now(),
				origin = CASE origin WHEN '' THEN $4 ELSE origin END, archive = archive || $3::jsonb || '{"phase": "exported"}'
			WHERE id = $1 AND state = 'suspended' AND archive ->> 'run' = $2 AND archive ->> 'phase' = 'exporting' RETURNING {columns}`),
		takeUp: expand(`UPDATE {tenants} SET archive = archive || jsonb_build_object('run', $3::text), updated_at = now()
			WHERE id = $1 AND archive ->> 'run' = $2 AND {restorable} RETURNING {columns}`),
		setPhase: expand(`UPDATE {tenants} SET archive = archive || jsonb_build_object('phase', $3::text), updated_at = now()
			WHERE id = $1 AND state = 'archived' AND archive ->> 'run' = $2 AND archive ->> 'phase' <> 'deleting' RETURNING {columns}`),
		// The schema that is made again has a mark of its own: who still means to drop the
		// one before does not take it for that.
		beginRestore: expand(`UPDATE {tenants} SET shard = $3, region = $4, origin = $5,
				role = CASE shard WHEN $3 THEN role ELSE '' END, login = CASE shard WHEN $3 THEN login ELSE '' END, epoch = epoch + 1, attempt = attempt + 1,
				updated_at = now(), archive = archive || jsonb_build_object('phase', 'restoring', 'run', $2::text)
			WHERE id = $1 AND delete_after IS NULL AND {restorable} RETURNING {columns}`),
		restored: expand(`UPDATE {tenants} SET state = {was}, archive = NULL, updated_at = now()
			WHERE id = $1 AND state = 'archived' AND archive ->> 'run' = $2 AND archive ->> 'phase' = 'restoring' RETURNING {columns}`),
	}
}
