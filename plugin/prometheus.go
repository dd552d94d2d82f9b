package tenantplugin

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gormtenancy/gormtenancy/quota"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/resolver"
)

// gauges are the plugin's own metrics, read when they are asked for: connection pools,
// replicas and lookups. No label is a tenant.
type gauges struct{ p *Plugin }

var (
	poolConns       = nodeDesc("pool_connections", "Open connections, by state: idle, in_use.", "state")
	poolMax         = nodeDesc("pool_connections_max", "The most connections that the pools open.")
	poolWaiting     = nodeDesc("pool_waiting", "Statements that wait for a connection now.")
	poolWaits       = nodeDesc("pool_waits_total", "Statements that had to wait for a connection.")
	poolWait        = nodeDesc("pool_wait_seconds_total", "Time that statements waited for a connection.")
	poolOpened      = nodeDesc("pool_opened_total", "Connections opened.")
	poolFailed      = nodeDesc("pool_open_failures_total", "Connections that could not be opened.")
	poolRetired     = nodeDesc("pool_retired_total", "Connections closed, by reason.", "reason")
	poolTrips       = nodeDesc("pool_trips_total", "Times that the node was given up for a while.")
	poolDown        = nodeDesc("pool_node_down", "Whether the node is given up: 1 while no connections are opened.")
	poolLeaks       = nodeDesc("pool_leaks", "Connections that are held for longer than WithLeakDetection allows.")
	staleness       = nodeDesc("replica_staleness_seconds", "How old what the replica shows may be.")
	replicaDown     = nodeDesc("replica_down", "Whether reads avoid the replica because it failed.")
	limited         = desc("limit_refused_total", "What tenants' limits refused, by limit.", "limit")
	allowed         = desc("limit_allowed_total", "What tenants' limits allowed, by limit; of tenants that have it.", "limit")
	inQueue         = desc("limit_waiting", "Statements that wait for others of their tenant.")
	fallbacks       = desc("limit_fallbacks_total", "Decisions that the process made alone because shared limits did not answer.")
	quarantined     = desc("quarantined_tenants", "Tenants in quarantine.")
	migrationsEnded = desc("migrations_total", "Tenants whose part of a run of migrations has ended (Plugin.CountMigration), by outcome.", "shard", "outcome")
	lookups         = desc("registry_lookups_total", "Tenants looked up, by result: hit, negative, miss.", "result")
	entries         = desc("registry_entries", "IDs remembered, by kind: tenant, unknown.", "kind")
	staleServed     = desc("registry_stale_served_total", "Questions that the control plane did not answer and memory served for.")
	evictions       = desc("registry_evictions_total", "Tenants forgotten because of MaxEntries.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("gormtenancy_"+name, help, labels, nil)
}

func nodeDesc(name, help string, more ...string) *prometheus.Desc {
	return desc(name, help, append([]string{"shard", "node"}, more...)...)
}

// Describe implements prometheus.Collector.
func (gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		poolConns, poolMax, poolWaiting, poolWaits, poolWait, poolOpened, poolFailed, poolRetired,
		poolTrips, poolDown, poolLeaks,
		migrationsEnded, limited, allowed, inQueue, fallbacks, quarantined,
		staleness, replicaDown, lookups, entries, staleServed, evictions,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	out := sender(ch)
	nodes := byNode(g.p.Stats())
	for at, pools := range nodes {
		out.pools(at, pools)
	}
	out.leaks(nodes, g.p.Leaks())
	out.migrations(&g.p.migrated)
	for _, r := range g.p.Replicas() {
		down := 0.0
		if r.Down {
			down = 1
		}
		out.gauge(replicaDown, down, r.Shard, r.Node)
		if r.Staleness >= 0 {
			out.gauge(staleness, r.Staleness.Seconds(), r.Shard, r.Node)
		}
	}
	if g, ok := g.p.opts.governor.(interface{ Stats() quota.Stats }); ok {
		out.limits(g.Stats())
	}
	if reg := g.p.Registry(); reg != nil {
		out.cache(reg.CacheStats())
	}
}

type node struct{ shard, name string }

// byNode groups the pools of a node: in strict mode each login has one.
func byNode(all []resolver.PoolStats) map[node][]resolver.PoolStats {
	groups := map[node][]resolver.PoolStats{}
	for _, s := range all {
		at := node{s.Shard, s.Node}
		groups[at] = append(groups[at], s)
	}
	return groups
}

// sum adds up one figure of pools.
func sum[T int | int64](pools []resolver.PoolStats, of func(resolver.PoolStats) T) float64 {
	var n T
	for _, s := range pools {
		n += of(s)
	}
	return float64(n)
}

type sender chan<- prometheus.Metric

func (ch sender) gauge(d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (ch sender) counter(d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func (ch sender) pools(at node, pools []resolver.PoolStats) {
	type stats = resolver.PoolStats
	gauge := func(d *prometheus.Desc, of func(stats) int, more ...string) {
		ch.gauge(d, sum(pools, of), append([]string{at.shard, at.name}, more...)...)
	}
	counter := func(d *prometheus.Desc, of func(stats) int64) { ch.counter(d, sum(pools, of), at.shard, at.name) }
	gauge(poolConns, func(s stats) int { return s.Idle }, "idle")
	gauge(poolConns, stats.InUse, "in_use")
	gauge(poolMax, func(s stats) int { return s.MaxConns })
	gauge(poolWaiting, func(s stats) int { return s.Waiting })
	counter(poolWaits, func(s stats) int64 { return s.Waits })
	counter(poolOpened, func(s stats) int64 { return s.Opened })
	counter(poolFailed, func(s stats) int64 { return s.Failed })
	counter(poolTrips, func(s stats) int64 { return s.Trips })
	gauge(poolDown, func(s stats) int {
		if s.Breaker == "closed" {
			return 0
		}
		return 1
	})
	ch.counter(poolWait, sum(pools, func(s stats) int64 { return int64(s.WaitTime) })/1e9, at.shard, at.name)
	for reason := range pools[0].Retired() {
		ch.counter(poolRetired, sum(pools, func(s stats) int64 { return s.Retired()[reason] }), at.shard, at.name, reason)
	}
}

// leaks counts who holds a connection for too long.
func (ch sender) leaks(nodes map[node][]resolver.PoolStats, held []resolver.Holder) {
	n := map[node]int{}
	for _, h := range held {
		n[node{h.Shard, h.Node}]++
	}
	for at := range nodes {
		ch.gauge(poolLeaks, float64(n[at]), at.shard, at.name)
	}
}

func (ch sender) limits(st quota.Stats) {
	for name, l := range map[string]quota.LimitStats{
		quota.LimitStatements: st.Statements, quota.LimitRequests: st.Requests,
		quota.LimitConcurrency: st.Concurrency, quota.LimitDatabase: st.Database,
	} {
		ch.counter(limited, float64(l.Refused), name)
		ch.counter(allowed, float64(l.Allowed), name)
	}
	ch.gauge(inQueue, float64(st.Concurrency.Waiting))
	ch.gauge(quarantined, float64(st.Quarantined))
	ch.counter(fallbacks, float64(st.Fallbacks))
}

func (ch sender) cache(st registry.CacheStats) {
	ch.counter(lookups, float64(st.Hits), "hit")
	ch.counter(lookups, float64(st.NegativeHits), "negative")
	ch.counter(lookups, float64(st.Misses), "miss")
	ch.gauge(entries, float64(st.Entries), "tenant")
	ch.gauge(entries, float64(st.Unknown), "unknown")
	ch.counter(staleServed, float64(st.StaleServed))
	ch.counter(evictions, float64(st.Evictions))
}
