package migrations

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// route is a way from one version to another.
type route struct{ from, to int64 }

// step is what runs at one go: versions that share a transaction, or one
// version alone.
type step struct {
	from  int64 // where the tenant must be; the steps behind the first ask the table
	known int   // how many of the set's versions the tenant must have
	below string
	down  bool
	parts []part
}

// part is one version of a step.
type part struct {
	*migration
	script
}

// solo reports whether the step is no message of statements in a transaction.
func (st *step) solo() bool { return st.parts[0].goFunc != nil || !st.parts[0].tx }

// session reports whether the step may leave something on the session.
func (st *step) session() bool {
	return slices.ContainsFunc(st.parts, func(p part) bool { return p.session })
}

// route returns the steps between two versions, up or down. It returns none if
// they are equal, and ErrVersion if there is no way.
func (s *Set) route(from, to int64) ([]*step, error) {
	r := route{from, to}
	if known, ok := s.steps.Load(r); ok {
		return known.([]*step), nil
	}
	if to < from && !s.has(from) {
		return nil, fmt.Errorf("%w: cannot undo version %d: run with the migrations that made it", ErrVersion, from)
	}
	low, high := s.upTo(min(from, to)), s.upTo(max(from, to))
	todo := slices.Clone(s.all[low:high])
	if to < from {
		slices.Reverse(todo)
	}
	var steps []*step
	at := from
	for _, m := range todo {
		p := part{m, m.up}
		next := m.version
		if to < from {
			p.script = m.down
			next = s.before(m.version)
		}
		last := len(steps) - 1
		if last >= 0 && !steps[last].solo() && m.goFunc == nil && p.tx {
			steps[last].parts = append(steps[last].parts, p)
		} else {
			known := s.upTo(at)
			steps = append(steps, &step{from: at, known: known, below: list(s.Versions()[:known]), down: to < from, parts: []part{p}})
		}
		at = next
	}
	s.steps.Store(r, steps)
	return steps, nil
}

// before returns the version under v.
func (s *Set) before(v int64) int64 {
	i := s.upTo(v) - 2
	if i < 0 {
		return 0
	}
	return s.all[i].version
}

func list(versions []int64) string {
	texts := make([]string, len(versions))
	for i, v := range versions {
		texts[i] = strconv.FormatInt(v, 10)
	}
	return strings.Join(texts, ",")
}
