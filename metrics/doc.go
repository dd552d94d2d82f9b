// Package metrics knows what each tenant uses: statements by kind, errors by
// class, rows, time at the database, waits for connections, round trips, quantiles of
// durations, and the queries that cost most.
//
// The Collector is told of each statement (Observe) and answers for one tenant (Tenant),
// the heaviest (Top), everybody (Each) and the whole (Totals). Observing costs about
// 80 ns and no allocation, and waits for no lock that all tenants share. 100,000 tenants take
// some 70 MB; idle ones are evicted and their counts kept in the totals, so that sums are
// exact for ever. Config bounds whatever grows.
//
// "Recent" and "of late" are counts that halve with Config.HalfLife, in steps of
// 4.3 s. Quantiles are a DDSketch's, to 4.3%, and the bins of it are Prometheus' native
// histogram of schema 3: one layout everywhere. Durations below a microsecond count
// as zero there, those over an hour as an hour.
//
// # Prometheus
//
// A Collector is a prometheus.Collector. By shard, always, without tenants:
//
//	gormtenancy_statement_duration_seconds{kind,role,shard}   classic and native buckets, exemplars
//	gormtenancy_statements_total{kind,role,shard}
//	gormtenancy_statement_errors_total{class,shard}
//	gormtenancy_rows_total, connection_wait_seconds_total, round_trips_total, commits_total{shard}
//
// By tenant, for few tenants:
//
//	gormtenancy_tenant_statements_total{kind,tenant}
//	gormtenancy_tenant_errors_total{class,tenant}
//	gormtenancy_tenant_database_seconds_total, tenant_rows_total, tenant_wait_seconds_total{tenant}
//	gormtenancy_tenant_latency_seconds{percentile,tenant}     50, 95 and 99; a gauge
//
// The Config.Top tenants of most recent database time have series of their own, and
// so have named and flagged ones. All else is in these, which no tenant's ID can be:
//
//	_other   tenants without series of their own
//	_shared  statements on shared tables, which have no tenant
//	_former  what series showed that are no more
//
// A tenant's series begins at 0 when the tenant gets it; what was before stays in
// _other. (A named tenant's has everything.) It keeps the series until it was not
// among the top for Config.Linger, or too many have some: at most twice Config.Top,
// and the named. When the series ends, what it showed moves to _former. So no counter ever
// goes down, _other never jumps, and the sum over all series is exactly the number of
// statements. _former has no other use: its rate means nothing, as it jumps when a series
// ends. Leave it out of rates, and of nothing else:
//
//	sum(rate(gormtenancy_tenant_statements_total{tenant!="_former"}[5m]))
//
// tenants_tracked, tenants_exposed, tenants_evicted_total and untracked_statements_total
// tell of the Collector itself.
//
// # What it does not do
//
// It stores nothing: rollups take differences of Each (and look at Usage.Since).
// It judges nobody: that is package outlier's. It does not link OpenTelemetry: package
// oteltrace does. It never keeps a statement's values: queries are fingerprints and
// normalised texts (internal/sqltext).
package metrics
