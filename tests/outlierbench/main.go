package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

func main() {
	seeds := flag.String("seeds", "tune", "tune, or judge: seeds that nobody tuned on")
	short := flag.Bool("short", false, "a small evaluation, in seconds")
	list := flag.Bool("list", false, "list the false findings")
	flag.Parse()
	set, ok := seedSets[*seeds]
	if !ok {
		fmt.Fprintln(os.Stderr, "unknown seeds: tune or judge")
		os.Exit(2)
	}
	if *short {
		set.judged, set.clean, set.hours = set.judged[:4], set.clean[:1], 1
	}
	began := time.Now()
	judgedScores := evaluate(set.judged, func(seed uint64) *scenario { return judged(seed, 1000, 5) })
	cleanScores := evaluate(set.clean, func(seed uint64) *scenario { return clean(seed, 1000, 5, set.hours*3600) })
	fmt.Printf("%s seeds, %d runs of an hour with 1,000 tenants and 10 outliers; %g clean hours, %d times\n\n",
		*seeds, len(set.judged), set.hours, len(set.clean))
	report(judgedScores, cleanScores)
	if *list {
		listWrong(judgedScores[0], cleanScores[0])
		for _, s := range append(judgedScores[0].missed, judgedScores[0].misnamed...) {
			fmt.Println(s)
		}
	}
	fmt.Printf("\n%.0f us per window of the detector; %.0f s in all\n",
		float64(judgedScores[0].took.Microseconds())/float64(judgedScores[0].windows), time.Since(began).Seconds())
}

var rivals = []struct {
	name string
	make func() rule
}{{"this detector", newOurs}, {"fixed thresholds", newFixed}, {"three sigma", newSigma3}}

// evaluate plays a scenario per seed, on all processors, and adds the scores up by rule.
func evaluate(seeds []uint64, scene func(seed uint64) *scenario) []score {
	var wg sync.WaitGroup
	results := make([][]score, len(seeds))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, seed := range seeds {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			var rules []rule
			for _, r := range rivals {
				rules = append(rules, r.make())
			}
			results[i] = play(scene(seed), seed, rules)
		})
	}
	wg.Wait()
	sums := make([]score, len(rivals))
	for _, scores := range results {
		for j := range scores {
			sums[j].add(scores[j])
		}
	}
	return sums
}

func report(judged, clean []score) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "rule\tprecision\trecall\tmedian\tp95\tfalse\tfalse in clean hours")
	for j, r := range rivals {
		c := &judged[j]
		all := slices.Concat(c.delays[:]...)
		fmt.Fprintf(w, "%s\t%.4f\t%.4f\t%.1f s\t%.1f s\t%d\t%d\n", r.name, c.precision(), c.recall(),
			delay(all, 0.5), delay(all, 0.95), len(c.wrong), len(clean[j].wrong))
	}
	fmt.Fprintln(w, "\nthis detector, by kind\tinjected\tfound\trecall\tmedian\tp95\tcause right")
	for k := range numKinds {
		c := &judged[0]
		fmt.Fprintf(w, "%s\t%d\t%d\t%.3f\t%.1f s\t%.1f s\t%d\n", kindNames[k], c.injected[k], c.found[k],
			ratio(c.found[k], c.injected[k]), delay(c.delays[k], 0.5), delay(c.delays[k], 0.95), c.named[k])
	}
	w.Flush()
}

func listWrong(scores ...score) {
	fmt.Println()
	for _, c := range scores {
		for _, x := range c.wrong {
			fmt.Printf("seed %d, %s at %.0f s: %s: %s\n", x.seed, x.id, x.at, x.cause, x.why)
		}
	}
}
