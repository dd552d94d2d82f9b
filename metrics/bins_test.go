package metrics

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// TestBinsArePrometheus compares with Prometheus' own native histogram of schema 3.
func TestBinsArePrometheus(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	theirs := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", NativeHistogramBucketFactor: 1.1, NativeHistogramZeroThreshold: zeroBound})
	ours := &histogram{aggregate: new(aggregate)}
	observe := func(seconds float64) {
		theirs.Observe(seconds)
		ours.aggregate.bins[binOf(seconds)]++
	}
	for range 100_000 {
		observe(math.Exp(r.Float64()*22 - 14))
	}
	for b := range numBins {
		observe(upper(b))
		if b < numBins-1 {
			observe(math.Nextafter(upper(b), math.Inf(1)))
		}
	}
	observe(0)
	var want, got dto.Metric
	if err := theirs.Write(&want); err != nil {
		t.Fatal(err)
	}
	if err := ours.Write(&got); err != nil {
		t.Fatal(err)
	}
	w, g := want.GetHistogram(), got.GetHistogram()
	if w.GetSchema() != g.GetSchema() || w.GetZeroCount() != g.GetZeroCount() || w.GetZeroThreshold() != g.GetZeroThreshold() ||
		!slices.Equal(w.GetPositiveDelta(), g.GetPositiveDelta()) || len(w.GetPositiveSpan()) != 1 || w.GetPositiveSpan()[0].String() != g.GetPositiveSpan()[0].String() {
		t.Errorf("native buckets are\n%v\nwant\n%v", g, w)
	}
}

func TestNativeSpansAndClassicBuckets(t *testing.T) {
	t.Parallel()
	h := &histogram{aggregate: new(aggregate)}
	durations := []float64{0, 0.0001, 1. / 1024, 0.003, 0.003, 1, 1.0001, 40, 1e6}
	for _, d := range durations {
		h.aggregate.bins[binOf(d)]++
	}
	var m dto.Metric
	if err := h.Write(&m); err != nil {
		t.Fatal(err)
	}
	out := m.GetHistogram()
	for _, b := range out.GetBucket() {
		want := uint64(0)
		for _, d := range durations {
			if d <= b.GetUpperBound() {
				want++
			}
		}
		if b.GetCumulativeCount() != want {
			t.Errorf("%d up to %v s, want %d", b.GetCumulativeCount(), b.GetUpperBound(), want)
		}
	}
	if n := len(out.GetBucket()); n != numClassic || out.GetBucket()[0].GetUpperBound() != 1./2048 || out.GetBucket()[n-1].GetUpperBound() != 32 {
		t.Errorf("%d classic buckets: %v", n, out.GetBucket())
	}
	count, key, next := int64(out.GetZeroCount()), 0, int64(0)
	i, found := 0, map[int]int64{}
	for _, span := range out.GetPositiveSpan() {
		key += int(span.GetOffset())
		for range span.GetLength() {
			next += out.GetPositiveDelta()[i]
			i++
			found[key] = next
			count += next
			key++
		}
	}
	if count != int64(len(durations)) || out.GetSampleCount() != uint64(len(durations)) || found[0] != 1 || found[1] != 1 || found[-80] != 1 {
		t.Errorf("native buckets count %d, %v", count, found)
	}
}

func TestClassicOf(t *testing.T) {
	t.Parallel()
	for b := range numBins {
		want := numClassic
		for i := numClassic - 1; i >= 0 && b <= classicEnd(i); i-- {
			want = i
		}
		if got := classicOf(b); got != want {
			t.Errorf("bin %d is in bucket %d, want %d", b, got, want)
		}
	}
}

func TestLogarithm(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	for range 10_000 {
		s := math.Exp(r.Float64()*21 - 13.5)
		if got, want := lnOf(s, binOf(s)), math.Log(s); math.Abs(got-want) > 0.001 && s < upper(numBins-2) {
			t.Fatalf("ln(%v) is %v, want %v", s, got, want)
		}
	}
	if got := lnOf(0, 0); got != math.Log(zeroBound) {
		t.Errorf("ln of nothing is %v", got)
	}
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 10))
	var b bins
	var all []time.Duration
	longest := time.Duration(0)
	for range 20_000 {
		d := latency(r)
		longest = max(longest, d)
		all = append(all, d)
		b.add(binOf(d.Seconds()))
	}
	slices.Sort(all)
	check := func() {
		t.Helper()
		for i, got := range b.quantiles(longest, 0.5, 0.95, 0.99) {
			want := all[int([]float64{0.5, 0.95, 0.99}[i]*float64(len(all)))]
			if off := math.Abs(float64(got)/float64(want) - 1); off > 0.05 {
				t.Errorf("quantile %d is %v, want %v", i, got, want)
			}
		}
	}
	check()
	for turn := range uint32(3) {
		b.halve(turn)
	}
	check()
	if len(b.pages) > 9 {
		t.Errorf("%d pages for three decades", len(b.pages))
	}
	var one bins
	one.add(binOf(1))
	for turn := range uint32(2) {
		one.halve(turn)
	}
	if got := one.quantiles(time.Second, 0.5); got[0] != 0 {
		t.Errorf("what is long past counts: %v", got)
	}
}

func TestBinsDoNotOverflow(t *testing.T) {
	t.Parallel()
	var b bins
	b.add(100)
	b.pages[0][100%pageBins] = math.MaxUint32 - 1
	b.add(100)
	if n := b.pages[0][100%pageBins]; n < math.MaxUint32/2-1 || n > math.MaxUint32/2+1 {
		t.Errorf("%d", n)
	}
}
