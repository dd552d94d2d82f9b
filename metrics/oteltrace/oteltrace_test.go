package oteltrace_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/gormtenancy/gormtenancy/metrics/oteltrace"
)

// span is one that records what it is given.
type span struct {
	noop.Span
	context trace.SpanContext
	set     []attribute.KeyValue
}

func (s *span) SpanContext() trace.SpanContext             { return s.context }
func (s *span) IsRecording() bool                          { return s.context.IsSampled() }
func (s *span) SetAttributes(kv ...attribute.KeyValue)     { s.set = append(s.set, kv...) }
func (s *span) in(ctx context.Context) (_ context.Context) { return trace.ContextWithSpan(ctx, s) }

func TestTraceID(t *testing.T) {
	t.Parallel()
	config := trace.SpanContextConfig{TraceID: trace.TraceID{0xab, 15: 1}, SpanID: trace.SpanID{1}}
	if got := oteltrace.TraceID(t.Context()); got != "" {
		t.Errorf("without a span: %q", got)
	}
	dropped := &span{context: trace.NewSpanContext(config)}
	if got := oteltrace.TraceID(dropped.in(t.Context())); got != "" {
		t.Errorf("a trace that is not sampled: %q", got)
	}
	config.TraceFlags = trace.FlagsSampled
	sampled := &span{context: trace.NewSpanContext(config)}
	if got := oteltrace.TraceID(sampled.in(t.Context())); got != "ab000000000000000000000000000001" {
		t.Errorf("a sampled trace: %q", got)
	}
}

func TestAnnotate(t *testing.T) {
	t.Parallel()
	oteltrace.Annotate(t.Context(), "acme") // no span: nothing happens
	dropped, sampled := &span{}, &span{context: trace.NewSpanContext(trace.SpanContextConfig{TraceFlags: trace.FlagsSampled})}
	for _, s := range []*span{dropped, sampled} {
		oteltrace.Annotate(s.in(t.Context()), "acme")
	}
	if len(dropped.set) != 0 || len(sampled.set) != 1 || sampled.set[0] != oteltrace.TenantKey.String("acme") {
		t.Errorf("set %v and %v", dropped.set, sampled.set)
	}
}
