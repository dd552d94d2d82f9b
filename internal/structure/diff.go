package structure

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// What is how an object differs.
type What string

// The ways to differ.
const (
	Missing   What = "missing"   // the reference has it
	Extra     What = "extra"     // the reference has not
	Different What = "different" // both have it, otherwise defined
)

// Difference is one object in which a structure is not as the reference.
type Difference struct {
	What What   `json:"what"`
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Was is the reference's definition, Is the other's; empty where there is none.
	Was string `json:"was,omitempty"`
	Is  string `json:"is,omitempty"`
}

// String is a line for people.
func (d Difference) String() string {
	text := fmt.Sprintf("%s %s is %s", d.Kind, d.Name, d.What)
	if d.What == Different {
		text += fmt.Sprintf(": %s, not %s", d.Is, d.Was)
	}
	return text
}

// columnOrder is the kind of what is wrong with a table whose columns are in another
// order.
const columnOrder = "column order"

// Diff returns what makes other differ from reference, by kind and name, none if
// their fingerprints are equal. Of what is missing or extra it leaves out the parts:
// a table's columns, a column's own sequence.
func Diff(reference, other *Structure) []Difference {
	if reference.sum == other.sum {
		return nil
	}
	was, is := reference.index(), other.index()
	var all []Difference
	for _, o := range reference.objects {
		there, ok := is[o.key()]
		switch {
		case !ok && !follows(o, was, is):
			all = append(all, Difference{Missing, o.Kind, o.Name, o.Definition, ""})
		case ok && there.Definition != o.Definition:
			all = append(all, Difference{Different, o.Kind, o.Name, o.Definition, there.Definition})
		}
	}
	for _, o := range other.objects {
		if _, ok := was[o.key()]; !ok && !follows(o, is, was) {
			all = append(all, Difference{Extra, o.Kind, o.Name, "", o.Definition})
		}
	}
	all = append(all, reordered(reference, other, was, is)...)
	slices.SortFunc(all, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return all
}

func (s *Structure) index() map[string]Object {
	byKey := make(map[string]Object, len(s.objects))
	for _, o := range s.objects {
		byKey[o.key()] = o
	}
	return byKey
}

// follows reports whether an object of one structure is not in the other only because
// what it is a part of is not.
func follows(o Object, in, other map[string]Object) bool {
	for o.parent != "" {
		p, ok := in[o.parent]
		if !ok {
			return false
		}
		if _, there := other[o.parent]; !there {
			return true
		}
		o = p
	}
	return false
}

// reordered compares the order of the columns that tables have in both.
func reordered(reference, other *Structure, was, is map[string]Object) (all []Difference) {
	before, after := reference.columns(is), other.columns(was)
	for table, names := range before {
		if now := after[table]; !slices.Equal(names, now) {
			all = append(all, Difference{Different, columnOrder, was[table].Name, strings.Join(names, ", "), strings.Join(now, ", ")})
		}
	}
	return all
}

// columns returns, by the keys of tables, the columns that are in both, in their order.
func (s *Structure) columns(both map[string]Object) map[string][]string {
	var columns []Object
	for _, o := range s.objects {
		if _, ok := both[o.key()]; ok && o.position > 0 {
			columns = append(columns, o)
		}
	}
	slices.SortFunc(columns, func(a, b Object) int { return cmp.Compare(a.position, b.position) })
	byTable := map[string][]string{}
	for _, c := range columns {
		byTable[c.parent] = append(byTable[c.parent], c.Name)
	}
	return byTable
}
