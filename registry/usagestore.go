package registry

// usageQueries are the control plane's statements about what tenants have used.
type usageQueries struct {
	addUsage, usage, trimUsage, trimBatches, lockTrim string
}

const usageCounts = "reads, writes, ddl, others, errors, rows, replica, round_trips, waits, commits, time_us, wait_us"

func newUsageQueries(expand func(string) string) usageQueries {
	return usageQueries{
		// Sorted, so that processes do not wait for each other in a circle.
		addUsage: expand(`WITH once AS (
				INSERT INTO {usage_batches} AS b (process, number) VALUES ($1, $2)
				ON CONFLICT (process) DO UPDATE SET number = excluded.number, at = now() WHERE b.number < excluded.number
				RETURNING 1)
			INSERT INTO {usage} AS u (span, bucket, tenant, shard, ` + usageCounts + `)
			SELECT s.span, date_trunc(s.span, r.at, 'UTC'), r.tenant, r.shard, sum(r.reads), sum(r.writes), sum(r.ddl), sum(r.others), sum(r.errors), sum(r.rows),
				sum(r.replica), sum(r.round_trips), sum(r.waits), sum(r.commits), sum(r.time_us), sum(r.wait_us)
			FROM unnest($3::timestamptz[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],
				$12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[]) AS r (at, tenant, shard, ` + usageCounts + `),
				(VALUES ('minute'), ('hour')) s (span)
			WHERE EXISTS (SELECT FROM once)
			GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
			ON CONFLICT (span, bucket, tenant, shard) DO UPDATE SET
				reads = u.reads + excluded.reads, writes = u.writes + excluded.writes, ddl = u.ddl + excluded.ddl, others = u.others + excluded.others,
				errors = u.errors + excluded.errors, rows = u.rows + excluded.rows, replica = u.replica + excluded.replica,
				round_trips = u.round_trips + excluded.round_trips, waits = u.waits + excluded.waits, commits = u.commits + excluded.commits,
				time_us = u.time_us + excluded.time_us, wait_us = u.wait_us + excluded.wait_us`),
		usage: expand(`SELECT %s, sum(reads)::bigint, sum(writes)::bigint, sum(ddl)::bigint, sum(others)::bigint, sum(errors)::bigint, sum(rows)::bigint,
			sum(replica)::bigint, sum(round_trips)::bigint, sum(waits)::bigint, sum(commits)::bigint, sum(time_us)::bigint, sum(wait_us)::bigint FROM {usage}`),
		trimUsage: expand(`DELETE FROM {usage} WHERE span = $1 AND ctid = ANY (ARRAY(SELECT ctid FROM {usage} WHERE span = $1 AND bucket < now() - make_interval(secs => $2::float8) ORDER BY bucket LIMIT $3))`),
		// A batch may be sent again after a long outage.
		trimBatches: expand("DELETE FROM {usage_batches} WHERE at < now() - interval '7 days'"),
		lockTrim:    "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))",
	}
}
