package metrics

import (
	"math"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

// Durations are counted in one layout of bins everywhere: eight to each power of
// two, which is schema 3 of Prometheus' native histograms and a DDSketch of gamma
// 2^(1/8), relative accuracy 4.3%. Bin b ends at 2^((b+firstKey)/8) seconds, its end
// included. Bin 0 takes everything up to a microsecond (2^-20 s) and is the zero
// bucket; the last one everything over an hour (2^(94/8) s).
const (
	schema    = 3
	perOctave = 1 << schema
	minOctave = -20
	firstKey  = minOctave * perOctave
	numBins   = 256
)

// fractions are Prometheus' bounds of schema 3: 2^(k/8-1) to the last bit.
var fractions = [perOctave]float64{
	0.5, 0.5452538663326288, 0.5946035575013605, 0.6484197773255048,
	0.7071067811865475, 0.7711054127039704, 0.8408964152537144, 0.9170040432046711,
}

const (
	mantissaBits = 52
	mantissaMask = 1<<mantissaBits - 1
	cellShift    = mantissaBits - 4
)

var (
	// zeroBound is where bin 0 ends, in seconds.
	zeroBound = math.Ldexp(1, minOctave)
	// bounds are the fractions' mantissas, and one that no mantissa exceeds.
	bounds [perOctave + 1]uint64
	// firsts has the first bound in or behind each sixteenth of an octave. These are narrower
	// than bins, so that none holds two bounds.
	firsts [16]uint8
	// logs are what is known of each bin for logarithms: of its middle, ln and reciprocal.
	logs [numBins]struct{ ln, reciprocal float64 }
)

func init() {
	for k, f := range fractions {
		bounds[k] = math.Float64bits(f) & mantissaMask
	}
	bounds[perOctave] = mantissaMask
	for i := range firsts {
		for bounds[firsts[i]] < uint64(i)<<cellShift {
			firsts[i]++
		}
	}
	for b := range logs {
		middle := upper(b) * math.Exp2(-0.5/perOctave)
		if b == 0 {
			middle = zeroBound
		}
		logs[b].ln, logs[b].reciprocal = math.Log(middle), 1/middle
	}
}

// binOf returns the bin of a number of seconds, from the number's bits.
func binOf(seconds float64) int {
	if !(seconds > zeroBound) {
		return 0
	}
	bits := math.Float64bits(seconds)
	mantissa := bits & mantissaMask
	k := int(firsts[mantissa>>cellShift])
	if mantissa > bounds[k] {
		k++
	}
	octave := int(bits>>mantissaBits) - 1023
	return min((octave-minOctave)*perOctave+k, numBins-1)
}

// upper returns where a bin ends, in seconds.
func upper(bin int) float64 {
	return math.Ldexp(fractions[bin%perOctave], bin/perOctave+minOctave+1)
}

// lnOf returns ln(seconds) of a number in that bin, to a thousandth: the logarithm of
// the bin's middle and a linear step from there. Bin 0 counts as its end.
func lnOf(seconds float64, bin int) float64 {
	if bin == 0 || bin == numBins-1 {
		return logs[bin].ln
	}
	return logs[bin].ln + (seconds*logs[bin].reciprocal - 1)
}

const (
	pageBins = 16
	numPages = numBins / pageBins
)

// bins counts durations for quantiles. Only pages that are in use have memory; a
// page is added at most numPages times in a tenant's life.
type bins struct {
	at    [numPages]uint8 // 1 + the index in pages
	pages [][pageBins]uint32
}

func (b *bins) add(bin int) {
	at := b.at[bin/pageBins]
	if at == 0 {
		at = b.grow(bin / pageBins)
	}
	n := &b.pages[at-1][bin%pageBins]
	if *n++; *n == math.MaxUint32 {
		b.halve(0)
	}
}

// grow adds one page, and memory for that one only.
func (b *bins) grow(page int) uint8 {
	pages := make([][pageBins]uint32, len(b.pages)+1)
	copy(pages, b.pages)
	b.pages = pages
	b.at[page] = uint8(len(pages))
	return b.at[page]
}

// halve halves each count. What is left of odd ones depends on the turn, so that a
// single old count goes after two.
func (b *bins) halve(turn uint32) {
	for i := range b.pages {
		for j, n := range b.pages[i] {
			b.pages[i][j] = uint32((uint64(n) + uint64(turn&1)) / 2)
		}
	}
}

// each calls f for the bins that have counts, from the lowest.
func (b *bins) each(f func(bin int, n uint32)) {
	for page, at := range b.at {
		if at == 0 {
			continue
		}
		for i, n := range b.pages[at-1] {
			if n != 0 {
				f(page*pageBins+i, n)
			}
		}
	}
}

// quantileMapping is the layout as a DDSketch knows it, whose bins include their
// beginning and are numbered one lower.
var quantileMapping = func() mapping.IndexMapping {
	m, err := mapping.NewLogarithmicMappingWithGamma(math.Exp2(1./perOctave), 0)
	if err != nil {
		panic(err) // gamma is over 1
	}
	return m
}()

// quantiles returns the durations below which those parts of the statements lie, to
// 4.3%, and none over the longest. Without statements they are zero.
func (b *bins) quantiles(longest time.Duration, parts ...float64) []time.Duration {
	positive := store.NewDenseStore()
	sketch := ddsketch.NewDDSketch(quantileMapping, positive, store.NewDenseStore())
	b.each(func(bin int, n uint32) {
		if bin == 0 {
			_ = sketch.AddWithCount(0, float64(n)) // fails for negative counts only
			return
		}
		positive.AddWithCount(bin+firstKey-1, float64(n))
	})
	found := make([]time.Duration, len(parts))
	values, err := sketch.GetValuesAtQuantiles(parts)
	if err != nil {
		return found // there is nothing
	}
	for i, v := range values {
		found[i] = min(time.Duration(v*float64(time.Second)), longest)
	}
	return found
}
