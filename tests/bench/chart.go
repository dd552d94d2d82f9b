package main

import (
	"bytes"
	"fmt"
	"html"
)

// Geometry of the chart, in pixels.
const (
	chartWidth = 900
	labelWidth = 230
	barHeight  = 16
	groupGap   = 18
	topSpace   = 64
	valueSpace = 170 // right of the longest bar
)

// All colours can be read on white and on GitHub's dark grey. Where the viewer
// tells light from dark, the text has more contrast.
const chartStyle = `<style>
text { font: 13px -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #768390 }
.title { font-size: 15px; font-weight: 600 }
.axis { stroke: #8c959f; stroke-width: 1; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: light) { text { fill: #57606a } .title { fill: #24292f } }
@media (prefers-color-scheme: dark) { text { fill: #9da7b3 } .title { fill: #e6edf3 } }
</style>
`

var chartWays = [ways]struct{ name, colour string }{
	plainWay:     {"plain GORM, one schema", "#8c959f"},
	oursWay:      {"gormtenancy", "#2f81f7"},
	qualifiedWay: {"plain GORM, schemas written out", "#57ab5a"},
	setWay:       {"SET search_path per call", "#d4a72c"},
}

// chart draws the ratios as a bar chart in SVG: time per call, plain GORM = 1.
// A throughput is drawn as the time that a call took of it.
func chart(results []result) []byte {
	var groups []result
	longest := 1.0
	for _, r := range results {
		if r.ratio {
			groups = append(groups, r)
			longest = max(longest, relative(r, oursWay), relative(r, qualifiedWay), relative(r, setWay))
		}
	}
	scale := (chartWidth - labelWidth - valueSpace) / longest
	height := topSpace + len(groups)*(ways*barHeight+groupGap) + 8
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="Time per call relative to plain GORM">`+"\n",
		chartWidth, height, chartWidth, height)
	out.WriteString(chartStyle)
	fmt.Fprintf(&out, `<text class="title" x="8" y="22">Time per call, plain GORM = 1 (shorter is better)</text>`+"\n")
	drawLegend(&out)
	x := labelWidth + scale
	fmt.Fprintf(&out, `<line class="axis" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`+"\n", x, topSpace-6, x, height-16)
	for i, r := range groups {
		drawGroup(&out, r, topSpace+i*(ways*barHeight+groupGap), scale)
	}
	out.WriteString("</svg>\n")
	return out.Bytes()
}

func drawLegend(out *bytes.Buffer) {
	for i, w := range chartWays {
		x := 8 + i*210
		fmt.Fprintf(out, `<rect x="%d" y="36" width="12" height="12" rx="2" fill="%s"/><text x="%d" y="47">%s</text>`+"\n", x, w.colour, x+18, w.name)
	}
}

func drawGroup(out *bytes.Buffer, r result, y int, scale float64) {
	fmt.Fprintf(out, `<text x="8" y="%d">%s</text>`+"\n", y+ways*barHeight/2+4, html.EscapeString(r.Name))
	for i, w := range chartWays {
		x := relative(r, i)
		top := y + i*barHeight
		fmt.Fprintf(out, `<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>`, labelWidth, top, x*scale, barHeight-2, w.colour)
		fmt.Fprintf(out, `<text x="%.1f" y="%d">%.2f (%s)</text>`+"\n", labelWidth+max(x, 1)*scale+6, top+12, x, absolute(r, i))
	}
}

// relative returns a way's time per call as a multiple of plain GORM's. Ours
// is the figure of the bar, so that chart and table agree.
func relative(r result, way int) float64 {
	x := 1.0
	switch way {
	case oursWay:
		x = r.Figure
	case qualifiedWay:
		x = r.Qualified / r.Plain
	case setWay:
		x = r.Set / r.Plain
	}
	if r.throughput() {
		return 1 / x
	}
	return x
}

func absolute(r result, way int) string {
	x := [ways]float64{plainWay: r.Plain, oursWay: r.Ours, qualifiedWay: r.Qualified, setWay: r.Set}[way]
	if r.throughput() {
		return number(x) + " calls/s"
	}
	return fmt.Sprintf("%.2f ms", x/1000)
}

func (r result) throughput() bool { return r.Bar.AtLeast > 0 }
