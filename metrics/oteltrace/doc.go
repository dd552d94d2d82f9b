// Package oteltrace joins tenants' metrics and OpenTelemetry's traces: TraceID is
// for metrics.Statement, so that slow statements become exemplars, and Annotate puts the
// tenant on the span at hand.
//
// It links OpenTelemetry's API only, no SDK: where no tracing is set up, both do
// nothing. Package metrics does not need it.
package oteltrace
