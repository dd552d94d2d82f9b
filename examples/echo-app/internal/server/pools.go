package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gormtenancy/gormtenancy/resolver"
)

// poolCollector reads the connection pools' counters when it is scraped. Pools
// are per node, never per tenant, and so are the labels.
type poolCollector func() []resolver.PoolStats

// collectPools adds the pools that stats returns. One set of Metrics has one
// database.
func (m *Metrics) collectPools(stats func() []resolver.PoolStats) {
	m.registry.MustRegister(poolCollector(stats))
}

var (
	poolConns   = poolDesc("connections", "Open connections, by state.", "state")
	poolMax     = poolDesc("connections_max", "The most connections that the pool opens.")
	poolWaiting = poolDesc("waiting", "Statements that wait for a connection now.")
	poolWaits   = poolDesc("waits_total", "Statements that had to wait for a connection.")
	poolWait    = poolDesc("wait_seconds_total", "Time that statements waited for a connection.")
	poolOpened  = poolDesc("opened_total", "Connections opened.")
	poolFailed  = poolDesc("open_failures_total", "Connections that could not be opened.")
	poolRetired = poolDesc("retired_total", "Connections closed, by reason.", "reason")
)

func poolDesc(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc("db_pool_"+name, help, append([]string{"shard", "node"}, more...), nil)
}

// Describe implements prometheus.Collector.
func (c poolCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{poolConns, poolMax, poolWaiting, poolWaits, poolWait, poolOpened, poolFailed, poolRetired} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c poolCollector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c() {
		send := func(d *prometheus.Desc, t prometheus.ValueType, v float64, more ...string) {
			ch <- prometheus.MustNewConstMetric(d, t, v, append([]string{s.Shard, s.Node}, more...)...)
		}
		gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
		send(poolConns, gauge, float64(s.Idle), "idle")
		send(poolConns, gauge, float64(s.InUse()), "in_use")
		send(poolMax, gauge, float64(s.MaxConns))
		send(poolWaiting, gauge, float64(s.Waiting))
		send(poolWaits, counter, float64(s.Waits))
		send(poolWait, counter, s.WaitTime.Seconds())
		send(poolOpened, counter, float64(s.Opened))
		send(poolFailed, counter, float64(s.Failed))
		send(poolRetired, counter, float64(s.RetiredAge), "age")
		send(poolRetired, counter, float64(s.RetiredTenants), "tenants")
		send(poolRetired, counter, float64(s.RetiredBroken), "broken")
		send(poolRetired, counter, float64(s.RetiredTrimmed), "trimmed")
		send(poolRetired, counter, float64(s.RetiredClosed), "closed")
	}
}
