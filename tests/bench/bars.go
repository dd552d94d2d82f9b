package main

import "fmt"

// bar is what a figure has to keep.
type bar struct {
	AtMost  float64 `json:"at_most,omitempty"`
	AtLeast float64 `json:"at_least,omitempty"`
}

func (b bar) holds(x float64) bool {
	if b.AtLeast > 0 {
		return x >= b.AtLeast
	}
	return x <= b.AtMost
}

func (b bar) String() string {
	if b.AtLeast > 0 {
		return fmt.Sprintf(">= %g", b.AtLeast)
	}
	return fmt.Sprintf("<= %g", b.AtMost)
}

// The bars.
var (
	barLatencyRead  = bar{AtMost: 1.05}
	barLatencyWrite = bar{AtMost: 0.75}
	barOneTenant    = bar{AtMost: 1.15}
	barManyTenants  = bar{AtMost: 1.4}
	barThroughput   = bar{AtLeast: 0.9}
	barMicroseconds = bar{AtMost: 3}
	barAllocations  = bar{AtMost: 12}
)

// result is one line of the report.
type result struct {
	Name      string  `json:"name"`
	Unit      string  `json:"unit"`      // of the ways
	Plain     float64 `json:"plain"`     // GORM without the plugin
	Ours      float64 `json:"ours"`      // with it
	Set       float64 `json:"set"`       // SET search_path per call, 0 where it is not measured
	Qualified float64 `json:"qualified"` // plain GORM with each tenant's schema written out, 0 where it is not measured
	Figure    float64 `json:"figure"`    // what the bar is about: ours/plain, or ours-plain
	Bar       bar     `json:"bar"`
	Pass      bool    `json:"pass"`
	ratio     bool    // Figure is ours/plain
}

func ratioResult(name, unit string, b bar, m medians) result {
	return result{
		Name: name, Unit: unit, Bar: b, ratio: true,
		Plain: m.value[plainWay], Ours: m.value[oursWay], Set: m.value[setWay], Qualified: m.value[qualifiedWay],
		Figure: m.ratio, Pass: b.holds(m.ratio),
	}
}

func differenceResult(name, unit string, b bar, m medians) result {
	return result{
		Name: name, Unit: unit, Bar: b,
		Plain: m.value[plainWay], Ours: m.value[oursWay],
		Figure: m.diff, Pass: b.holds(m.diff),
	}
}

func allPass(results []result) bool {
	for _, r := range results {
		if !r.Pass {
			return false
		}
	}
	return true
}
