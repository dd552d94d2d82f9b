package main

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestEveryOrderHasItsTurn(t *testing.T) {
	t.Parallel()
	seen := map[[ways]int]int{}
	for round := range 240 {
		seen[order(round)]++
	}
	for o, n := range seen {
		if s := slices.Sorted(slices.Values(o[:])); n != 10 || !slices.Equal(s, []int{0, 1, 2, 3}) {
			t.Errorf("order %v came %d times of 240, want each of 24 ten times", o, n)
		}
	}
	if len(seen) != 24 {
		t.Errorf("%d orders, want 24", len(seen))
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for want, xs := range map[float64][]float64{0: nil, 3: {9, 3, 1}, 2.5: {4, 1, 2, 3}} {
		if got := median(xs); got != want {
			t.Errorf("median of %v is %v, want %v", xs, got, want)
		}
	}
}

func TestAlternateComparesWithinRounds(t *testing.T) {
	t.Parallel()
	plain, ours := 0.0, 0.0
	m, err := alternate(t.Context(), 5, [ways]func() (float64, error){
		plainWay: func() (float64, error) { plain += 10; return plain, nil },
		oursWay:  func() (float64, error) { ours += 20; return ours, nil },
	})
	if err != nil || m.ratio != 2 || m.value[plainWay] != 40 || m.diff != 40 || m.value[setWay] != 0 {
		t.Errorf("medians %+v, error %v", m, err)
	}
	fault := errors.New("fault")
	_, err = alternate(t.Context(), 5, [ways]func() (float64, error){func() (float64, error) { return 0, fault }})
	if !errors.Is(err, fault) {
		t.Errorf("error %v, want the way's", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = alternate(ended, 5, [ways]func() (float64, error){func() (float64, error) { return 1, nil }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

func TestBars(t *testing.T) {
	t.Parallel()
	slow := ratioResult("read", "us", barLatencyRead, medians{ratio: 1.06})
	fast := ratioResult("read", "us", barLatencyRead, medians{ratio: 1.05})
	weak := ratioResult("loop", "calls/s", barThroughput, medians{ratio: 0.89})
	strong := ratioResult("loop", "calls/s", barThroughput, medians{ratio: 0.9})
	heavy := differenceResult("allocations", "per call", barAllocations, medians{diff: 12.1})
	if slow.Pass || weak.Pass || heavy.Pass || !fast.Pass || !strong.Pass {
		t.Errorf("%+v", []result{slow, fast, weak, strong, heavy})
	}
	if allPass([]result{fast, slow}) || !allPass([]result{fast, strong}) {
		t.Error("allPass does not see a missed bar")
	}
}

var sample = []result{
	ratioResult("read <near>", "us per call", barOneTenant, medians{value: [ways]float64{100, 110, 105, 300}, ratio: 1.1}),
	ratioResult("closed loop", "calls/s", barThroughput, medians{value: [ways]float64{1000, 800, 900, 500}, ratio: 0.8}),
	differenceResult("in the process", "us per call", barMicroseconds, medians{value: [ways]float64{40, 42}, diff: 2}),
}

func TestTable(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	printTable(&out, sample)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 || !strings.Contains(lines[2], "FAIL") || !strings.Contains(lines[3], "ours-plain 2.00") {
		t.Errorf("table:\n%s", out.String())
	}
}

func TestChartIsWellFormed(t *testing.T) {
	t.Parallel()
	text := string(chart(sample))
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
	}
	for _, want := range []string{"read &lt;near&gt;", "1.10 (0.11 ms)", "3.00 (0.30 ms)", "1.25 (800 calls/s)", "prefers-color-scheme: dark"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the chart", want)
		}
	}
	if strings.Contains(text, "in the process") {
		t.Error("a difference was drawn as a ratio")
	}
}
