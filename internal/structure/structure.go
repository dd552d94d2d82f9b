package structure

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"

	"github.com/gormtenancy/gormtenancy/tenant"
)

// VersionTable is goose's, which is not part of the structure.
const VersionTable = "goose_db_version"

// Structure is what a schema is made of. It is never changed after it was read.
type Structure struct {
	objects []Object // by kind and name
	sum     string
	// versioned is whether VersionTable is there.
	versioned bool
}

// Object is one thing in a schema.
type Object struct {
	// Kind is PostgreSQL's word: table, column, index, and so on.
	Kind string `json:"kind"`
	// Name has no schema, and is quoted where SQL wants it: orders.total.
	Name string `json:"name"`
	// Definition is SQL, or nearly.
	Definition string `json:"definition"`

	// parent is the key of what it is a part of, empty for most.
	parent string
	// position is a column's among those of its table, 0 for what is no column.
	position int
}

// Objects returns what there is, by kind and name. Columns are not in their order.
func (s *Structure) Objects() []Object { return slices.Clone(s.objects) }

// Versioned reports whether goose's table is in the schema.
func (s *Structure) Versioned() bool { return s.versioned }

// Fingerprint identifies the structure: 24 hexadecimal digits of a SHA-256.
func (s *Structure) Fingerprint() string { return s.sum }

// newStructure takes the objects over.
func newStructure(objects []Object, versioned bool) *Structure {
	slices.SortFunc(objects, func(a, b Object) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	h := sha256.New()
	for _, o := range objects {
		fmt.Fprintf(h, "%q %q %d %q\n", o.Kind, o.Name, o.position, o.Definition)
	}
	return &Structure{objects: objects, versioned: versioned, sum: hex.EncodeToString(h.Sum(nil)[:12])}
}

// rank numbers each table's columns from 1: attribute numbers have gaps where columns
// were dropped.
func rank(columns []Object) {
	slices.SortFunc(columns, func(a, b Object) int {
		return cmp.Or(cmp.Compare(a.parent, b.parent), cmp.Compare(a.position, b.position))
	})
	for i := range columns {
		if i > 0 && columns[i-1].parent == columns[i].parent {
			columns[i].position = columns[i-1].position + 1
		} else {
			columns[i].position = 1
		}
	}
}

var simple = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// quoted returns a name for people: keywords, whose list grows with PostgreSQL's
// version, stay as they are.
func quoted(name string) string {
	if simple.MatchString(name) {
		return name
	}
	return tenant.QuoteIdent(name)
}

// joined returns a name of one or two parts.
func joined(name, sub string) string {
	if sub == "" {
		return quoted(name)
	}
	return quoted(name) + "." + quoted(sub)
}

func (o Object) key() string { return o.Kind + " " + o.Name }
