package warden

import (
	"time"

	"github.com/gormtenancy/gormtenancy/metrics"
	"github.com/gormtenancy/gormtenancy/metrics/outlier"
	"github.com/gormtenancy/gormtenancy/registry"
	"github.com/gormtenancy/gormtenancy/tenant"
)

// windows makes windows of counts that only grow.
type windows map[tenant.ID]counted

// counted is what a tenant had used at the end of the last window.
type counted struct {
	since                    time.Time
	statements, errors, rows uint64
	time, wait               time.Duration
	logTime                  float64
}

// take returns what was done since the last call. Who is tracked no longer is forgotten.
func (w windows) take(from *metrics.Collector) []outlier.Sample {
	var all []outlier.Sample
	seen := make(map[tenant.ID]struct{}, len(w))
	from.Each(func(id tenant.ID, shard string, u metrics.Usage) {
		seen[id] = struct{}{}
		now := counted{
			since: u.Since, statements: u.Count(), errors: failures(&u), rows: u.Rows,
			time: u.DatabaseTime(), wait: u.Wait, logTime: u.LogTime,
		}
		was := w[id]
		w[id] = now
		if !was.since.Equal(now.since) {
			was = counted{} // it was forgotten in between
		}
		if now.statements == was.statements && now.wait == was.wait {
			return
		}
		all = append(all, outlier.Sample{
			Tenant: id, Shard: shard, Statements: now.statements - was.statements, Errors: now.errors - was.errors, Rows: now.rows - was.rows,
			Time: now.time - was.time, Wait: now.wait - was.wait, LogTime: now.logTime - was.logTime,
			Query: outlier.Query{Fingerprint: u.Query.Fingerprint, Text: u.Query.Text, Time: u.Query.Time, Count: u.Query.Count},
		})
	})
	for id := range w {
		if _, is := seen[id]; !is {
			delete(w, id)
		}
	}
	return all
}

// failures are the errors that tell of trouble. What a limit refused, or a caller gave up,
// is no failure of the tenant's.
func failures(u *metrics.Usage) uint64 {
	return u.Failed() - u.Errors[metrics.ClassLimited] - u.Errors[metrics.ClassCanceled]
}

// usage is the rollup's source.
func (w *Warden) usage(yield func(since time.Time, total registry.UsageRow)) {
	w.cfg.Metrics.Each(func(id tenant.ID, shard string, u metrics.Usage) {
		yield(u.Since, registry.UsageRow{
			Tenant: id, Shard: shard,
			Reads: int64(u.Statements[metrics.KindRead]), Writes: int64(u.Statements[metrics.KindWrite]),
			DDL: int64(u.Statements[metrics.KindDDL]), Others: int64(u.Statements[metrics.KindOther]),
			Errors: int64(u.Failed()), Rows: int64(u.Rows), Replica: int64(u.Replica), RoundTrips: int64(u.RoundTrips),
			Waits: int64(u.Waits), Commits: int64(u.Commits), Time: u.DatabaseTime(), Wait: u.Wait,
		})
	})
}
