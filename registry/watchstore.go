package registry

// watchQueries are the control plane's statements about what processes report.
type watchQueries struct {
	openFinding, closeFinding, findings, closeLost, trimFindings string
	report, leave, processes, trimProcesses                      string
}

const findingColumns = "id, process, tenant, shard, cause, evidence, magnitude, value, baseline, threshold, fingerprint, query, " +
	"since, opened_at, changed_at, coalesce(closed_at, '-infinity'), explanation"

func newWatchQueries(expand func(string) string) watchQueries {
	return watchQueries{
		openFinding: expand(`INSERT INTO {findings} (process, tenant, shard, cause, evidence, magnitude, value, baseline, threshold,
				fingerprint, query, since, opened_at, changed_at, explanation)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $14)
			ON CONFLICT (process, tenant) WHERE closed_at IS NULL DO UPDATE SET cause = excluded.cause, evidence = excluded.evidence,
				magnitude = excluded.magnitude, value = excluded.value, baseline = excluded.baseline, threshold = excluded.threshold,
				fingerprint = excluded.fingerprint, query = excluded.query, changed_at = excluded.changed_at, explanation = excluded.explanation`),
		closeFinding: expand("UPDATE {findings} SET closed_at = $3, changed_at = $3 WHERE process = $1 AND tenant = $2 AND closed_at IS NULL"),
		// What a process has found that is gone is nobody's to close.
		closeLost: expand(`UPDATE {findings} f SET closed_at = now() WHERE closed_at IS NULL AND changed_at < now() - interval '1 minute'
			AND NOT EXISTS (SELECT FROM {processes} p WHERE p.id = f.process AND p.seen_at > now() - interval '5 minutes')`),
		findings:     expand("SELECT " + findingColumns + " FROM {findings}"),
		trimFindings: expand("DELETE FROM {findings} WHERE closed_at < now() - make_interval(secs => $1::float8)"),
		report: expand(`INSERT INTO {processes} (id, host, pid, started_at, pools) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (id) DO UPDATE SET seen_at = now(), pools = excluded.pools`),
		leave:         expand("DELETE FROM {processes} WHERE id = $1"),
		processes:     expand("SELECT id, host, pid, started_at, seen_at, pools FROM {processes} WHERE seen_at > now() - interval '1 hour' ORDER BY host, pid, id"),
		trimProcesses: expand("DELETE FROM {processes} WHERE seen_at < now() - interval '1 hour'"),
	}
}
