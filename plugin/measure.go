package tenantplugin

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"gorm.io/gorm"

	"github.com/gormtenancy/gormtenancy/metrics"
	"github.com/gormtenancy/gormtenancy/resolver"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// Metrics returns the collector of WithMetrics or WithCollector, nil without.
func (p *Plugin) Metrics() *metrics.Collector { return p.opts.collector }

// measuring puts the collector in place. What it began is ended by closeOwned.
func (p *Plugin) measuring(ctx context.Context) error {
	if p.opts.registerer == nil {
		return nil
	}
	if p.opts.collector == nil {
		p.opts.collector = metrics.New(metrics.Config{})
		if err := p.opts.collector.Start(ctx); err != nil {
			return err
		}
		p.endMetrics = p.opts.collector.Stop
	}
	all := []prometheus.Collector{p.opts.collector, gauges{p}}
	for i, c := range all {
		if err := p.opts.registerer.Register(c); err != nil {
			for _, done := range all[:i] {
				p.opts.registerer.Unregister(done)
			}
			return err
		}
	}
	end := p.endMetrics
	p.endMetrics = func() {
		for _, c := range all {
			p.opts.registerer.Unregister(c)
		}
		end()
	}
	return nil
}

// observed counts a statement of GORM's.
func (p *Plugin) observed(ctx context.Context, s *Statement) {
	c := p.opts.collector
	if c == nil {
		return
	}
	m := metrics.Statement{
		Tenant: s.Tenant, Shard: s.Shard, Kind: kinds[s.Kind], Class: classify(s.Err), Duration: s.Busy, Wait: s.Wait,
		Rows: s.Rows, RoundTrips: s.RoundTrips, Replica: s.Replica, Text: s.Text,
	}
	if p.opts.traceID != nil {
		m.TraceID = p.opts.traceID(ctx)
	}
	c.Observe(&m)
}

var kinds = map[Kind]metrics.Kind{
	KindRead: metrics.KindRead, KindWrite: metrics.KindWrite, KindDDL: metrics.KindDDL, KindOther: metrics.KindOther,
}

// classify is metrics.Classify for GORM's errors, too.
func classify(err error) metrics.Class {
	switch {
	case err == nil, errors.Is(err, gorm.ErrRecordNotFound):
		return metrics.ClassNone
	case errors.Is(err, gorm.ErrDuplicatedKey), errors.Is(err, gorm.ErrForeignKeyViolated), errors.Is(err, gorm.ErrCheckConstraintViolated):
		return metrics.ClassConstraint
	}
	return metrics.Classify(err)
}

// meter counts what passes no callback of GORM's.
type meter struct{ *metrics.Collector }

// Ran implements resolver.Meter.
func (m meter) Ran(s resolver.Measured) {
	if s.Tenant == "" && s.Shard == "" {
		return // it was refused, and is nobody's
	}
	m.Observe(&metrics.Statement{
		Tenant: s.Tenant, Shard: s.Shard, Kind: kinds[kindOf(s.Text)], Class: classify(s.Err), Duration: s.Duration, Wait: s.Wait,
		Rows: s.Rows, RoundTrips: int(s.RoundTrips), Replica: s.Replica, Text: s.Text,
	})
}

// Ended implements resolver.Meter.
func (m meter) Ended(s resolver.Measured) {
	m.Committed(s.Tenant, s.Shard, s.Duration)
	m.Waited(s.Tenant, s.Shard, s.Wait)
}

// annotate puts the tenant on the caller's trace.
func (p *Plugin) annotate(ctx context.Context) {
	if p.opts.annotate == nil {
		return
	}
	if id, err := tenant.FromContext(ctx); err == nil {
		p.opts.annotate(ctx, id)
	}
}
