package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// namespace begins the names of all metrics.
const namespace = "gormtenancy_"

// Names of tenants that are none: what is in them says doc.go.
const (
	former = "_former"
	shared = "_shared"
	// noShard is the label of what reached no shard.
	noShard = "_none"
)

// descriptions are what Describe tells, by role.
type descriptions struct {
	duration, statements, errors, rows, wait, trips, commits *prometheus.Desc

	tenantStatements, tenantTime, tenantErrors, tenantRows, tenantWait, tenantLatency *prometheus.Desc

	tracked, evicted, exposed, untracked *prometheus.Desc
}

func describe() descriptions {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+name, help, labels, nil)
	}
	return descriptions{
		duration:   desc("statement_duration_seconds", "Time of statements at the database.", "kind", "role", "shard"),
		statements: desc("statements_total", "Statements.", "kind", "role", "shard"),
		errors:     desc("statement_errors_total", "Statements that failed, by class of error.", "class", "shard"),
		rows:       desc("rows_total", "Rows returned or affected.", "shard"),
		wait:       desc("connection_wait_seconds_total", "Time that statements waited for a connection.", "shard"),
		trips:      desc("round_trips_total", "Round trips of statements to the server.", "shard"),
		commits:    desc("commits_total", "Ends of transactions, by commit or rollback.", "shard"),

		tenantStatements: desc("tenant_statements_total", "Statements by tenant: see _other and _former in the documentation.", "kind", "tenant"),
		tenantTime:       desc("tenant_database_seconds_total", "Time at the database by tenant, commits included.", "tenant"),
		tenantErrors:     desc("tenant_errors_total", "Statements that failed by tenant and class of error.", "class", "tenant"),
		tenantRows:       desc("tenant_rows_total", "Rows returned or affected by tenant.", "tenant"),
		tenantWait:       desc("tenant_wait_seconds_total", "Time that a tenant's statements waited for a connection.", "tenant"),
		tenantLatency:    desc("tenant_latency_seconds", "Percentiles of a tenant's statements of late.", "percentile", "tenant"),

		tracked:   desc("tenants_tracked", "Tenants that are tracked."),
		evicted:   desc("tenants_evicted_total", "Tenants that were forgotten, being idle."),
		exposed:   desc("tenants_exposed", "Tenants with series of their own."),
		untracked: desc("untracked_statements_total", "Statements of tenants for which there was no room."),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	d := &c.describe
	for _, desc := range []*prometheus.Desc{
		d.duration, d.statements, d.errors, d.rows, d.wait, d.trips, d.commits,
		d.tenantStatements, d.tenantTime, d.tenantErrors, d.tenantRows, d.tenantWait, d.tenantLatency,
		d.tracked, d.evicted, d.exposed, d.untracked,
	} {
		ch <- desc
	}
}

// sink sends metrics.
type sink struct {
	ch chan<- prometheus.Metric
}

func (s sink) counter(desc *prometheus.Desc, value float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, value, labels...)
}

func (s sink) gauge(desc *prometheus.Desc, value float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

// Collect implements prometheus.Collector. Each scrape decides anew who has series.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	out, d := sink{ch}, &c.describe
	for _, s := range *c.shards.Load() {
		c.collectShard(out, s)
	}
	x := c.expose()
	d.usage(out, others, &x.other)
	d.usage(out, former, &x.former)
	d.usage(out, shared, &x.shared)
	for i := range x.series {
		s := &x.series[i]
		d.usage(out, string(s.id), &s.usage)
		for i, q := range s.quantiles {
			out.gauge(d.tenantLatency, q.Seconds(), shownQuantiles[i].label, string(s.id))
		}
	}
	out.gauge(d.tracked, float64(x.tracked))
	out.gauge(d.exposed, float64(len(x.series)))
	out.counter(d.evicted, float64(x.evicted))
	out.counter(d.untracked, float64(x.untracked))
}

// usage sends one tenant's counters. Kinds and classes that never were are left out, but for
// those that stand for many.
func (d *descriptions) usage(out sink, label string, u *Usage) {
	many := label == others
	for k, n := range u.Statements {
		if n != 0 || many {
			out.counter(d.tenantStatements, float64(n), kindNames[k], label)
		}
	}
	for k, n := range u.Errors {
		if n != 0 || many && Class(k) != ClassNone {
			out.counter(d.tenantErrors, float64(n), classNames[k], label)
		}
	}
	out.counter(d.tenantTime, u.DatabaseTime().Seconds(), label)
	out.counter(d.tenantRows, float64(u.Rows), label)
	out.counter(d.tenantWait, u.Wait.Seconds(), label)
}

var roleNames = [numRoles]string{"primary", "replica"}

// aggregate is what a shard's cells of one kind and role add up to.
type aggregate struct {
	counts
	exemplars [numClassic + 1]exemplar
}

// collectShard sends a shard's aggregates.
func (c *Collector) collectShard(out sink, s *shard) {
	var all [NumKinds][numRoles]*aggregate
	s.eachCell(func(kind Kind, role int, cell *cell) {
		a := &all[kind][role]
		if *a == nil {
			*a = new(aggregate)
		}
		cell.read(&(*a).counts, &(*a).exemplars, func(uint32) float32 { return 0 })
	})
	label := s.name
	if label == "" {
		label = noShard
	}
	var sum counts
	found := false
	for kind := range all {
		for role, a := range all[kind] {
			if a == nil {
				continue
			}
			found = true
			sum.add(&a.counts)
			c.collectAggregate(out, a, kindNames[kind], roleNames[role], label)
		}
	}
	if found {
		c.collectSums(out, &sum, label)
	}
}

func (c *Collector) collectAggregate(out sink, a *aggregate, kind, role, shard string) {
	n := a.count()
	if n == 0 {
		return // commits only
	}
	out.counter(c.describe.statements, float64(n), kind, role, shard)
	out.ch <- &histogram{desc: c.describe.duration, aggregate: a, kind: kind, role: role, shard: shard}
}

func (c *Collector) collectSums(out sink, sum *counts, shard string) {
	d := &c.describe
	for class, n := range sum.errors {
		if Class(class) != ClassNone {
			out.counter(d.errors, float64(n), classNames[class], shard)
		}
	}
	out.counter(d.rows, float64(sum.rows), shard)
	out.counter(d.wait, sum.wait.Seconds(), shard)
	out.counter(d.trips, float64(sum.trips), shard)
	out.counter(d.commits, float64(sum.commit), shard)
}

// count returns the number of statements.
func (c *counts) count() (n uint64) {
	for _, k := range c.bins {
		n += k
	}
	return n
}
