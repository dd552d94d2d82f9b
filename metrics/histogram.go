package metrics

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Classic buckets end at the powers of two from half a millisecond to 32 s, where
// bins end, too: both kinds of buckets count the same statements.
const (
	firstClassic = -11 // 2^-11 s
	lastClassic  = 5
	numClassic   = lastClassic - firstClassic + 1
	// maxTraceID keeps an exemplar's label below OpenMetrics' limit, in bytes.
	maxTraceID = 64
)

// classicEnd returns the last bin of a classic bucket.
func classicEnd(bucket int) int { return (bucket + firstClassic - minOctave) * perOctave }

// classicOf returns the classic bucket of a bin, numClassic for what is over all of them.
func classicOf(bin int) int {
	octave := (bin + perOctave - 1) / perOctave // at whose end the bin ends, or before
	return min(max(octave+minOctave-firstClassic, 0), numClassic)
}

// histogram is one metric with classic and native buckets, of the same bins.
type histogram struct {
	desc              *prometheus.Desc
	aggregate         *aggregate
	kind, role, shard string
}

// Desc implements prometheus.Metric.
func (h *histogram) Desc() *prometheus.Desc { return h.desc }

// Write implements prometheus.Metric.
func (h *histogram) Write(out *dto.Metric) error {
	label := func(name, value string) *dto.LabelPair {
		return &dto.LabelPair{Name: proto.String(name), Value: proto.String(value)}
	}
	out.Label = []*dto.LabelPair{label("kind", h.kind), label("role", h.role), label("shard", h.shard)}
	out.Histogram = &dto.Histogram{
		SampleCount: proto.Uint64(h.aggregate.count()),
		SampleSum:   proto.Float64(h.aggregate.time.Seconds()),
	}
	h.classic(out.Histogram)
	h.native(out.Histogram)
	return nil
}

func (h *histogram) classic(out *dto.Histogram) {
	bin, sum := 0, uint64(0)
	for i := range numClassic {
		for ; bin <= classicEnd(i); bin++ {
			sum += h.aggregate.bins[bin]
		}
		out.Bucket = append(out.Bucket, &dto.Bucket{
			CumulativeCount: proto.Uint64(sum), UpperBound: proto.Float64(upper(classicEnd(i))), Exemplar: h.exemplar(i),
		})
	}
	if x := h.exemplar(numClassic); x != nil { // the bucket is implied otherwise
		out.Bucket = append(out.Bucket, &dto.Bucket{CumulativeCount: out.SampleCount, UpperBound: proto.Float64(math.Inf(1)), Exemplar: x})
	}
}

func (h *histogram) exemplar(bucket int) *dto.Exemplar {
	x := h.aggregate.exemplars[bucket]
	if x.trace == "" {
		return nil
	}
	return &dto.Exemplar{
		Label: []*dto.LabelPair{{Name: proto.String("trace_id"), Value: proto.String(x.trace)}},
		Value: proto.Float64(x.seconds), Timestamp: timestamppb.New(x.at),
	}
}

// native writes spans of bins that have counts, and the difference of each bin from
// the one before.
func (h *histogram) native(out *dto.Histogram) {
	out.Schema, out.ZeroThreshold, out.ZeroCount = proto.Int32(schema), proto.Float64(zeroBound), proto.Uint64(h.aggregate.bins[0])
	var span *dto.BucketSpan
	last, before := 0, int64(0) // the key behind the last one, its count
	for bin := 1; bin < numBins; bin++ {
		n := int64(h.aggregate.bins[bin])
		if n == 0 {
			continue
		}
		key := bin + firstKey
		if span == nil || key != last {
			span = &dto.BucketSpan{Offset: proto.Int32(int32(key - last)), Length: proto.Uint32(0)}
			out.PositiveSpan = append(out.PositiveSpan, span)
		}
		*span.Length++
		out.PositiveDelta = append(out.PositiveDelta, n-before)
		last, before = key+1, n
	}
	for _, b := range out.Bucket {
		if b.Exemplar != nil {
			out.Exemplars = append(out.Exemplars, b.Exemplar)
		}
	}
}
