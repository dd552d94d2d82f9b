package oteltrace

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// TenantKey is the attribute that Annotate sets.
const TenantKey = attribute.Key("tenant.id")

// TraceID returns the ID of the context's trace in hexadecimal digits, empty if there is
// none or if it is not sampled: nobody could look it up.
func TraceID(ctx context.Context) string {
	span := trace.SpanContextFromContext(ctx)
	if !span.HasTraceID() || !span.IsSampled() {
		return ""
	}
	return span.TraceID().String()
}

// Annotate sets the attribute tenant.id on the context's span, if that is recorded.
func Annotate(ctx context.Context, id tenant.ID) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(TenantKey.String(string(id)))
	}
}
