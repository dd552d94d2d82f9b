package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// printTable prints the results for people.
func printTable(out io.Writer, results []result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "measurement\tunit\tplain GORM\tours\tschema written out\tSET per call\tfigure\tbar\t\t")
	for _, r := range results {
		kind := "ours-plain"
		if r.ratio {
			kind = "ours/plain"
		}
		verdict := "pass"
		if !r.Pass {
			verdict = "FAIL"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s %.2f\t%s\t%s\t\n",
			r.Name, r.Unit, number(r.Plain), number(r.Ours), measured(r.Qualified), measured(r.Set), kind, r.Figure, r.Bar, verdict)
	}
	w.Flush()
}

func measured(x float64) string {
	if x == 0 {
		return "-"
	}
	return number(x)
}

// number prints three or more digits of x.
func number(x float64) string {
	if x < 100 {
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}
