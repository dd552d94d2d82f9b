package outlier

import (
	"fmt"
	"time"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// Explanation tells how a tenant was judged in the last window that it was
// active in, and why it is flagged or not.
type Explanation struct {
	Tenant  tenant.ID `json:"tenant"`
	Shard   string    `json:"shard"`
	Flagged bool      `json:"flagged"`
	Cause   Cause     `json:"cause"`
	Summary string    `json:"summary"` // in plain sentences
	At      time.Time `json:"at"`      // end of that window
	// Windows is how many windows are in the tenant's history.
	Windows int      `json:"windows"`
	Query   Query    `json:"query"`
	Finding *Event   `json:"finding,omitempty"` // as told last, if Flagged
	Signals []Signal `json:"signals"`
}

// Signal explains one of the things that are compared. Figures are in Unit;
// those of a signal that the window had no statements for are zero.
type Signal struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Value is the last window's.
	Value float64 `json:"value"`
	// Own is the tenant's usual value by its own history.
	Own float64 `json:"own"`
	// Baseline is Own, moved by what moved the shard in that window; without
	// a history it is the shard's median.
	Baseline float64 `json:"baseline"`
	// Threshold is the value from which it counts as an effect.
	Threshold float64 `json:"threshold"`
	// Spread is the standard deviation of the history's logarithm.
	Spread float64 `json:"spread"`
	// Score is the last window's deviation in standard deviations, 0 for errors.
	Score float64 `json:"score"`
	// Evidence is what the windows add up to, EvidenceNeeded what flags.
	Evidence       float64 `json:"evidence"`
	EvidenceNeeded float64 `json:"evidence_needed"`
	// Effect is how many times the baseline it was, since the evidence
	// began to grow; 0 without evidence.
	Effect float64 `json:"effect"`
	Why    string  `json:"why"` // one sentence
}

// Explain tells how a tenant was judged. ok is false if the detector does not
// know it: it was never active, or is forgotten.
func (d *Detector) Explain(id tenant.ID) (e Explanation, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tenants[id]
	if t == nil {
		return Explanation{}, false
	}
	e = Explanation{Tenant: id, Shard: t.shard, At: t.last, Windows: int(t.seen), Query: t.query}
	for i := range t.levels {
		e.Signals = append(e.Signals, t.explain(signal(i), &d.cfg))
	}
	e.Signals = append(e.Signals, t.explainErrors(&d.cfg))
	if t.finding != nil {
		told := t.finding.event
		e.Flagged, e.Cause, e.Finding = true, told.Cause, &told
	}
	e.Summary = t.summary(id, e.Signals)
	return e, true
}

func (t *state) explain(s signal, c *Config) Signal {
	l := &t.levels[s]
	x := Signal{
		Name: specs[s].name, Unit: specs[s].unit, Spread: float64(sqrt(l.variance)),
		Evidence: float64(l.score), EvidenceNeeded: c.Enter,
	}
	if t.seen > 0 {
		x.Own = exp(l.mean)
	}
	if isNaN(l.last) {
		x.Why = "The window had no statements."
		return x
	}
	x.Value, x.Baseline, x.Score = exp(l.last), exp(l.last-l.rel), float64(l.z)
	x.Threshold = x.Baseline * float64(t.factor(s, c))
	if l.n > 0 {
		x.Effect = exp(l.effect())
	}
	x.Why = t.why(&x)
	return x
}

func (t *state) explainErrors(c *Config) Signal {
	f := &t.failures
	x := Signal{
		Name: "errors", Unit: "of statements", Value: float64(f.last), Own: float64(f.usual(0)), Baseline: float64(f.base),
		Threshold: float64(f.threshold(c.ErrorRatio)), Evidence: float64(f.score), EvidenceNeeded: c.Enter,
	}
	if f.sumN > 0 && f.base > 0 {
		x.Effect = float64(f.ratio() / f.base)
	}
	x.Why = t.why(&x)
	if x.Evidence >= x.EvidenceNeeded && f.sumErrors < leastErrors {
		x.Why = fmt.Sprintf("The ratio of errors is high, but %.0f errors are too few to tell.", f.sumErrors)
	}
	return x
}

// why puts a signal's figures in a sentence.
func (t *state) why(x *Signal) string {
	of := "its own history on a shard as it is now"
	if t.reason == byPeers {
		of = "the shard's median tenant, for want of a history"
	}
	figures := fmt.Sprintf("%.4g %s, where %.4g is expected from %s", x.Value, x.Unit, x.Baseline, of)
	need := fmt.Sprintf("%.1f of the %.1f needed", x.Evidence, x.EvidenceNeeded)
	switch {
	case t.reason == newShard || t.reason == fewTenants:
		return fmt.Sprintf("%.4g %s; not judged.", x.Value, x.Unit)
	case x.Evidence == 0:
		return figures + ": usual."
	case x.Evidence < x.EvidenceNeeded:
		return fmt.Sprintf("%s: %.1f times of late, too little or too short to tell (evidence %s).", figures, x.Effect, need)
	case x.Effect*x.Baseline < x.Threshold:
		return fmt.Sprintf("%s: %.1f times of late, certainly more than usual, but less than what counts.", figures, x.Effect)
	}
	return fmt.Sprintf("%s: %.1f times of late.", figures, x.Effect)
}

var reasons = [...]string{
	byHistory:  "It is compared with its own history and with how its shard deviates from theirs.",
	byPeers:    "It is too new to have a history, so it is compared with the shard's other tenants, on higher thresholds.",
	newShard:   "It is not judged yet: no tenant of its shard has a history.",
	fewTenants: "It is not judged: too few tenants are active for a baseline.",
}

// summary says why the tenant is flagged or not.
func (t *state) summary(id tenant.ID, signals []Signal) string {
	if t.finding != nil {
		e := &t.finding.event
		s := fmt.Sprintf("%s is flagged for %s since %s: %s", id, e.Cause, e.Since.UTC().Format(time.RFC3339), e.Evidence)
		if e.Query.Text != "" {
			s += " Most of its database time goes to: " + e.Query.Text
		}
		return s
	}
	s := fmt.Sprintf("%s is not flagged. %s", id, reasons[t.reason])
	most := signals[0]
	for _, x := range signals[1:] {
		if x.Evidence > most.Evidence {
			most = x
		}
	}
	if most.Evidence == 0 {
		return s + " Nothing about it is unusual."
	}
	return fmt.Sprintf("%s Nearest to a finding is %s: %s", s, most.Name, most.Why)
}
