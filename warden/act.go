package warden

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/gormtenancy/gormtenancy/metrics/outlier"
	"github.com/gormtenancy/gormtenancy/registry"
)

// act writes what was found to the control plane, and quarantines.
func (w *Warden) act(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-w.events:
			w.enter(ctx, f)
		}
	}
}

func (w *Warden) enter(ctx context.Context, f found) {
	ctx, cancel := context.WithTimeout(registry.WithActor(ctx, "warden"), actsWithin)
	defer cancel()
	explanation, err := json.Marshal(f.explanation)
	if err == nil {
		err = w.cfg.Registry.PutFinding(ctx, finding(w.id, f.Event, explanation))
	}
	if err != nil {
		w.cfg.Logger.WarnContext(ctx, "what was found of a tenant could not be written down", "tenant", string(f.Tenant), "cause", err)
	}
	if f.Phase == outlier.Closed || !w.harmful(f.Cause) {
		return
	}
	spec := w.cfg.Spec
	spec.DryRun = w.cfg.Quarantine == DryRun
	spec.Reason, spec.Finding = f.Evidence, explanation
	q, err := w.cfg.Registry.Quarantine(ctx, f.Tenant, spec)
	switch {
	case errors.Is(err, registry.ErrQuarantineFull):
		w.cfg.Logger.ErrorContext(ctx, "an outlier stays out of quarantine, which is full", "tenant", string(f.Tenant), "shard", f.Shard)
	case err != nil:
		w.cfg.Logger.ErrorContext(ctx, "an outlier could not be quarantined", "tenant", string(f.Tenant), "cause", err)
	default:
		w.cfg.Logger.WarnContext(ctx, "tenant is in quarantine", "tenant", string(f.Tenant), "until", q.Until, "dry_run", q.DryRun, "relapses", q.Relapses)
	}
}

func finding(process string, e outlier.Event, explanation []byte) registry.Finding {
	f := registry.Finding{
		Process: process, Tenant: e.Tenant, Shard: e.Shard, Cause: e.Cause.String(), Evidence: e.Evidence, Magnitude: e.Magnitude,
		Value: e.Value, Baseline: e.Baseline, Threshold: e.Threshold, Fingerprint: e.Query.Fingerprint, Query: e.Query.Text,
		Since: e.Since, Changed: e.At, Explanation: explanation,
	}
	if e.Phase == outlier.Closed {
		f.Closed = e.At
	}
	return f
}
